"""Linear algebra: options, errors, stacks against loops, points where a formula divides by zero, and what NumPy itself returns."""
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from autodiffnb import Tensor, check_grads, gradients, hessian, linalg

L = np.linalg
quick = settings(max_examples=25, deadline=None)


def numbers(*shape, dtype=float, seed=0):
    rng = np.random.default_rng([seed, *shape])
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def dagger(x): return np.conj(np.swapaxes(x, -1, -2))


def gradient(f, *arrays, g=None):
    tensors = [Tensor(x) for x in arrays]
    y = f(*tensors)
    grads = gradients(y, tensors, numbers(*y.shape, dtype=y.dtype, seed=9) if g is None else g)
    return grads[0] if len(arrays) == 1 else grads


# --- what is returned ---------------------------------------------------------------------------------------------------

RESULTS = {"slogdet": {}, "eig": {}, "eigh": {}, "eigh U": dict(UPLO="U"), "svd": {}, "svd thin": dict(full_matrices=False), "svd hermitian": dict(hermitian=True), "qr": {}, "qr complete": dict(mode="complete")}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128, np.complex64])
def test_named_tuples_and_values_are_numpys(name, dtype):
    fn, a = getattr(L, name.split()[0]), numbers(2, 3, 3, dtype=dtype)
    got, expected = fn(Tensor(a), **RESULTS[name]), fn(a, **RESULTS[name])
    assert type(got) is type(expected) and got._fields == expected._fields
    for x, y in zip(got, expected):
        assert isinstance(x, Tensor) and x.dtype == y.dtype and x.shape == y.shape
        np.testing.assert_array_equal(x.value, y)


def test_lstsq_returns_what_numpy_returns():
    a, b = numbers(4, 2), numbers(4, 3)
    for given_b in (b, b[:, 0]):
        got, expected = L.lstsq(Tensor(a), given_b), L.lstsq(a, given_b)
        assert type(got) is tuple and type(got[2]) is type(expected[2]) and got[2] == 2
        for k in (0, 1, 3): np.testing.assert_array_equal(got[k].value, expected[k])
    assert L.lstsq(Tensor(a.T), b[:2])[1].shape == (0,)
    assert L.lstsq(a, Tensor(b))[0].shape == (2, 3)


def test_what_has_no_derivative_is_plain():
    t = Tensor(numbers(3, 3))
    assert not isinstance(L.matrix_rank(t), Tensor) and L.matrix_rank(t) == 3
    assert type(L.norm(t, 0, axis=1)) is np.ndarray
    np.testing.assert_array_equal(L.matrix_power(t, 0), np.eye(3))


# --- stacks ---------------------------------------------------------------------------------------------------------------

def positive(a): return a @ dagger(a) + np.eye(a.shape[-1])


STACKED = {
    "inv": L.inv, "det": L.det, "logdet": lambda a: L.slogdet(a)[1], "sign": lambda a: L.slogdet(a)[0], "cholesky": lambda a: L.cholesky(positive(a)), "upper": lambda a: L.cholesky(positive(a), upper=True),
    "eigh values": lambda a: L.eigh(a)[0], "eigh vectors": lambda a: L.eigh(a, "U")[1], "eigvalsh": L.eigvalsh, "eig values": lambda a: L.eig(a + dagger(a))[0], "eig vectors": lambda a: L.eig(a + dagger(a))[1],
    "svd U": lambda a: L.svd(a)[0], "svd S": lambda a: L.svd(a)[1], "svd Vh": lambda a: L.svd(a, False)[2], "svdvals": L.svdvals, "pinv": L.pinv, "qr Q": lambda a: L.qr(a)[0], "qr R": lambda a: L.qr(a)[1],
    "nuc": lambda a: L.norm(a, "nuc", (-2, -1)), "matrix_norm": L.matrix_norm, "power": lambda a: L.matrix_power(a, -3), "cond": L.cond, "cond 1": lambda a: L.cond(a, 1),
    "solve": lambda a: L.solve(a, np.arange(3.0)), "trace": L.trace, "diagonal": L.diagonal,
}


@pytest.mark.parametrize("name", STACKED)
@pytest.mark.parametrize("dtype", [float, complex])
def test_a_stack_is_a_loop(name, dtype):
    a = numbers(2, 2, 3, 3, dtype=dtype)
    t = Tensor(a)
    y = STACKED[name](t)
    g = numbers(*y.shape, dtype=y.dtype, seed=5)
    got = gradients(y, t, g)
    for index in np.ndindex(2, 2):
        one = Tensor(a[index])
        np.testing.assert_allclose(got[index], gradients(STACKED[name](one), one, g[index]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in STACKED if n not in ("svd U", "svd Vh")])
def test_complex_second_derivative(name):
    check_grads(STACKED[name])(numbers(3, 3, dtype=complex))


@pytest.mark.parametrize("name", STACKED)
def test_third_derivative(name):
    check_grads(STACKED[name], order=3, modes="vjp")(numbers(2, 2) if name != "solve" else numbers(3, 3))


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize("name", STACKED)
def test_empty_stacks_and_empty_matrices(name, n):
    shape = (0, 3, 3) if n else (2, 0, 0)
    if n == 0 and name in ("cond", "cond 1", "solve"):           # NumPy refuses the one, and the right side does not fit the other
        with pytest.raises(ValueError): STACKED[name](np.zeros(shape))
    else: assert gradient(STACKED[name], np.zeros(shape)).shape == shape


@pytest.mark.parametrize("a, b", [((3, 3), (3,)), ((3, 3), (3, 2)), ((4, 3, 3), (3,)), ((4, 3, 3), (3, 2)), ((3, 3), (4, 3, 2)), ((4, 1, 3, 3), (5, 3, 2)), ((3, 3, 3), (3, 3)), ((1, 3, 3), (2, 3, 1))])
def test_solve_reads_its_right_side_as_numpy_2(a, b):
    a, b = numbers(*a), numbers(*b)
    y = L.solve(Tensor(a), Tensor(b))
    assert y.shape == L.solve(a, b).shape
    np.testing.assert_array_equal(y.value, L.solve(a, b))
    check_grads(L.solve, order=1)(a, b)


# --- determinants of singular matrices ------------------------------------------------------------------------------------

def cofactors(a):
    n = len(a)
    return np.array([[(-1.0)**(i + j) * L.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("n, rank", [(n, rank) for n in (1, 2, 3, 4, 6) for rank in range(n + 1)])
def test_the_adjoint_of_a_determinant_is_its_cofactors(n, rank):
    a = numbers(n, rank) @ numbers(rank, n, seed=1)
    scale = max(1.0, abs(a).max()) ** (n - 1)
    np.testing.assert_allclose(gradient(L.det, a, g=np.float64(1)), cofactors(a) if n > 1 else [[1.0]], rtol=1e-9, atol=1e-12 * scale)


def second_minors(a):
    "The second derivative of the determinant by its definition: signed determinants without two rows and two columns."
    n = len(a)
    H = np.zeros((n,) * 4)
    for i, j, k, l in np.ndindex(H.shape):
        if i != k and j != l:
            sign = (-1.0)**(i + j + k + l) * (1 if (i < k) == (j < l) else -1)
            H[i, j, k, l] = sign * L.det(np.delete(np.delete(a, [i, k], 0), [j, l], 1))
    return H


@pytest.mark.parametrize("n, rank", [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (4, 3), (5, 3)])
def test_second_derivative_of_a_determinant_of_any_rank(n, rank):
    a = numbers(n, rank) @ numbers(rank, n, seed=1)
    np.testing.assert_allclose(hessian(L.det)(a), second_minors(a), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", [float, complex])
def test_fourth_derivative_of_the_determinant_of_zero_is_the_permutations(dtype):
    check_grads(L.det, order=3, modes="vjp")(np.zeros((3, 3), dtype))
    t = Tensor(np.zeros((4, 4)))
    y = L.det(t)
    for k in range(4): y = gradients(y, t, create_graph=True)[k, (k + 1) % 4]
    assert round(float(y.value), 9) == -1.0          # the sign of a cycle of four


def test_regular_and_singular_matrices_in_one_stack():
    a = np.stack([numbers(3, 3), numbers(3, 1) @ numbers(1, 3), np.zeros((3, 3)), numbers(3, 2) @ numbers(2, 3, seed=4), np.eye(3) * 1e-40, np.eye(3) * 1e40])
    got = gradient(L.det, a, g=np.ones(6))
    for x, matrix in zip(got, a): np.testing.assert_allclose(x, cofactors(matrix), rtol=1e-9, atol=1e-12)


def test_nearly_singular_keeps_its_digits():
    "The naive second derivative divides what is lost to rounding by the determinant."
    a = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])          # its determinant is 0, and 6.7e-16 in floating point
    np.testing.assert_allclose(gradient(L.det, a, g=np.float64(1)), cofactors(a), rtol=1e-9)
    np.testing.assert_allclose(hessian(L.det)(a), second_minors(a), rtol=1e-9, atol=1e-9)


def test_logarithm_of_a_singular_determinant_has_no_derivative_and_says_so():
    t = Tensor(np.ones((2, 2)))
    y = L.slogdet(t).logabsdet
    assert y.value == -np.inf
    with pytest.raises(L.LinAlgError, match="Singular") as error: gradients(y, t)
    assert "slogdet" in error.value.__notes__[0]


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_stays_nan():
    assert np.isnan(gradient(L.det, np.array([[np.nan, 1], [2, 3.0]]), g=np.float64(1))).any()


# --- Hermitian matrices ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("f, upper", [(lambda a: L.cholesky(a), False), (lambda a: L.cholesky(a, upper=True), True), (L.eigvalsh, False), (lambda a: L.eigvalsh(a, "U"), True),
                                      (lambda a: L.eigh(a, "u")[1], True), (lambda a: L.eigh(a)[1], False), (lambda a: L.pinv(a, hermitian=True), False),
                                      (lambda a: L.svd(a, hermitian=True)[0], False), (lambda a: L.svd(a, hermitian=True, compute_uv=False), False)])
@pytest.mark.parametrize("dtype", [float, complex])
def test_only_the_triangle_that_numpy_reads_has_a_gradient(f, upper, dtype):
    a = positive(numbers(3, 3, dtype=dtype))
    grad = gradient(f, a)
    unread = np.tril(grad, -1) if upper else np.triu(grad, 1)
    assert not unread.any() and abs(grad).max() > 0 and np.allclose(np.diag(grad).imag, 0)
    check_grads(f, order=1)(a + (np.tril if upper else np.triu)(numbers(3, 3, dtype=dtype, seed=3), 1 - 2 * upper))


@pytest.mark.parametrize("f", [L.cholesky, lambda a: L.eigh(a)[1], lambda a: L.eigvalsh(a, "U")])
def test_the_symmetric_gradient_for_the_asking(f):
    grad = gradient(lambda a: f((a + dagger(a)) / 2), positive(numbers(3, 3, dtype=complex)))
    np.testing.assert_allclose(grad, dagger(grad), atol=1e-12)


SPECTRA = [np.ones(4), np.array([1.0, 1, 2, 3]), np.array([1.0, 1, 2, 2]), np.zeros(4), np.array([0.0, 0, 1, 1])]


def with_spectrum(w, dtype=float):
    q = L.qr(numbers(len(w), len(w), dtype=dtype, seed=7))[0]
    return (q * w) @ dagger(q)


@pytest.mark.parametrize("w", SPECTRA)
@pytest.mark.parametrize("dtype", [float, complex])
def test_equal_eigenvalues_give_no_nan(w, dtype):
    for a in (with_spectrum(w, dtype), np.diag(w).astype(dtype)):
        for f in (lambda a: L.eigh(a)[0], lambda a: L.eigh(a)[1], L.eigvalsh, lambda a: L.svd(a)[0], lambda a: L.svd(a)[1], lambda a: L.svd(a)[2], lambda a: L.norm(a, "nuc"), lambda a: L.norm(a, 2)):
            t = Tensor(a)
            y = f(t)
            first = gradients(y, t, numbers(*y.shape, dtype=y.dtype), create_graph=True)
            assert np.isfinite(first.value).all()
            assert np.isfinite(gradients(first, t, numbers(*first.shape, dtype=first.dtype, seed=2))).all()


@pytest.mark.parametrize("w", SPECTRA)
@pytest.mark.parametrize("dtype", [float, complex])
def test_symmetric_functions_of_equal_eigenvalues_are_differentiated(w, dtype):
    a, direction = with_spectrum(w, dtype), positive(numbers(4, 4, dtype=dtype, seed=8))
    got = np.sum(gradient(lambda a: np.sum(np.exp(L.eigh(a)[0])), a, g=np.float64(1)) * direction)
    values, vectors = L.eigh(a)
    assert np.isclose(got.real, np.trace((vectors * np.exp(values)) @ dagger(vectors) @ direction).real)      # tr(exp(A) dA)


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("rotated", [False, True])
def test_projectors_on_eigenspaces_are_differentiated(dtype, rotated):
    w = np.array([1.0, 1, 1, 4, 4])
    a, d = (with_spectrum(w, dtype) if rotated else np.diag(w).astype(dtype)), positive(numbers(5, 5, dtype=dtype, seed=8))
    project = lambda a: (lambda v: v @ dagger(v))(L.eigh(a)[1][:, :3])
    g = numbers(5, 5, dtype=dtype, seed=2)
    got = np.sum(gradient(project, a, g=g) * d).real
    assert np.isclose(got, np.sum(g * (project(a + 1e-5 * d) - project(a - 1e-5 * d))).real / 2e-5, rtol=1e-6)


def test_uplo_is_checked():
    for fn in (L.eigh, L.eigvalsh):
        with pytest.raises(ValueError, match="UPLO: expected 'L' or 'U', got 'X'"): fn(Tensor(np.eye(2)), "X")
        with pytest.raises(ValueError, match="UPLO"): fn(Tensor(np.eye(2)), UPLO=None)


# --- eigenvalues of any matrix --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(5))
def test_complex_eigenvalues_of_a_real_matrix(seed):
    a = numbers(4, 4, seed=seed)
    grad = gradient(lambda a: np.sum(np.abs(L.eigvals(a)) ** 2), a, g=np.float64(1))
    assert grad.dtype == float
    check_grads(lambda a: np.sum(np.abs(L.eigvals(a)) ** 2), order=2)(a)


@pytest.mark.parametrize("dtype", [float, complex])
def test_rebuilding_a_matrix_from_its_eigenvectors_is_the_identity(dtype):
    rebuild = lambda a: (lambda w, v: np.real((v * w) @ L.inv(v)))(*L.eig(a))
    a, g = numbers(4, 4, dtype=dtype, seed=2), numbers(4, 4, seed=3)
    np.testing.assert_allclose(gradient(rebuild, a, g=g), g, atol=1e-10)


def test_eigenvectors_of_hermitian_input_agree_between_eig_and_eigh():
    a = positive(numbers(3, 3))
    g = numbers(3, 3)
    def overlap(vectors): return np.abs(vectors[0]) ** 2
    order = np.argsort(L.eig(a)[0])
    one = gradient(lambda a: overlap(L.eig((a + a.T) / 2)[1])[order], a, g=g[0])
    two = gradient(lambda a: overlap(L.eigh((a + a.T) / 2)[1]), a, g=g[0])
    np.testing.assert_allclose(one, two, atol=1e-10)


# --- singular values, pseudo-inverse, least squares ---------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 2), (1, 4), (4, 1)])
@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("full", [True, False])
def test_rebuilding_a_matrix_from_its_singular_values_is_the_identity(shape, dtype, full):
    k = min(shape[-2:])
    rebuild = lambda a: (lambda u, s, vh: (u[..., :k] * s[..., None, :]) @ vh[..., :k, :])(*L.svd(a, full))
    a, g = numbers(*shape, dtype=dtype), numbers(*shape, dtype=dtype, seed=3)
    np.testing.assert_allclose(gradient(rebuild, a, g=g), g, atol=1e-9)


@pytest.mark.exhaustive
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 2), (2, 4), (9, 2), (2, 9), (1, 3), (2, 2, 3)])
@pytest.mark.parametrize("full", [True, False])
def test_complex_singular_vectors_turn_as_those_that_numpy_returns(shape, full):
    k = min(shape[-2:])
    check_grads(lambda a: (lambda u, s, vh: (u[..., :k], s, vh[..., :k, :]))(*L.svd(a, full)))(numbers(*shape, dtype=complex))


def test_singular_vectors_whose_real_entry_is_zero_have_finite_gradients():
    a = np.diag([3.0, 2.0, 1.0]).astype(complex)
    for side in (0, 2): assert np.isfinite(gradient(lambda a: L.svd(a)[side], a)).all()


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("shape", [(4, 2), (2, 5)])
def test_columns_that_complete_a_basis(shape, dtype):
    "The projector on them is one minus the projector on the others, and so is its adjoint."
    k, a = 2, numbers(*shape, dtype=dtype)
    side = 0 if shape[0] > k else 2
    columns = lambda a, part: (lambda x: x if side == 0 else dagger(x))(L.svd(a)[side])[:, part]
    project = lambda part: lambda a: (lambda v: v @ dagger(v))(columns(a, part))
    g = numbers(max(shape), max(shape), dtype=dtype, seed=4)
    np.testing.assert_allclose(gradient(project(slice(k, None)), a, g=g), -gradient(project(slice(0, k)), a, g=g), atol=1e-10)
    np.testing.assert_allclose(gradient(project(slice(0, k)), a, g=g), gradient(lambda a: a @ L.pinv(a) if side == 0 else L.pinv(a) @ a, a, g=g), atol=1e-10)


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3), (2, 4, 3)])
def test_pseudo_inverse_of_full_rank_by_another_route(shape, dtype):
    a, tall = numbers(*shape, dtype=dtype), shape[-2] >= shape[-1]
    other = lambda a: L.solve(dagger(a) @ a, dagger(a)) if tall else dagger(L.solve(a @ dagger(a), a))
    np.testing.assert_allclose(gradient(L.pinv, a), gradient(other, a), rtol=1e-8, atol=1e-8)


def test_pseudo_inverse_of_equal_and_of_zero_singular_values():
    check_grads(L.pinv)(np.eye(3))
    for a in (np.zeros((3, 2)), numbers(4, 2) @ numbers(2, 3)): assert np.isfinite(gradient(L.pinv, a)).all()
    a = numbers(4, 2) @ numbers(2, 3)
    left, right = numbers(4, 4, seed=5), numbers(3, 3, seed=6)     # movements that keep the rank
    d = left @ a + a @ right
    g = numbers(3, 4)
    moved = (L.pinv((np.eye(4) + 1e-6 * left) @ a @ (np.eye(3) + 1e-6 * right)) - L.pinv((np.eye(4) - 1e-6 * left) @ a @ (np.eye(3) - 1e-6 * right))) / 2e-6
    assert np.isclose(np.sum(gradient(L.pinv, a, g=g) * d), np.sum(g * moved), rtol=1e-6)


@pytest.mark.parametrize("cut", [dict(rcond=0.5), dict(rtol=0.5), dict(rcond=np.array([0.5, 0.01])), dict(rcond=1e-10), dict(rtol=None), dict(rcond=0.5, hermitian=True)])
def test_pseudo_inverse_with_a_cut(cut):
    a = np.stack([with_spectrum(np.array([1.0, 0.9, 0.1])), with_spectrum(np.array([2.0, 1.1, 0.3]))])
    np.testing.assert_array_equal(L.pinv(Tensor(a), **cut).shape, L.pinv(a, **cut).shape)
    np.testing.assert_allclose(L.pinv(Tensor(a), **cut).value, L.pinv(a, **cut), rtol=1e-12, atol=1e-12)
    check_grads(lambda a: L.pinv(a, **cut))(a)


def test_pseudo_inverse_with_a_cut_among_equal_values_to_first_order():
    check_grads(lambda a: L.pinv(a, rcond=0.5), order=1)(np.diag([1.0, 1.0, 0.1]))
    check_grads(lambda a: L.pinv(a, rcond=1e-6))(np.eye(3))                          # nothing is cut: every order


@pytest.mark.parametrize("shape", [(5, 3), (3, 3), (3, 5)])
@pytest.mark.parametrize("dtype", [float, complex])
def test_least_squares(shape, dtype):
    a, b = numbers(*shape, dtype=dtype), numbers(shape[0], 2, dtype=dtype)
    check_grads(lambda a, b: [y for k, y in enumerate(L.lstsq(a, b)) if k != 2], order=1)(a, b)
    check_grads(lambda b: L.lstsq(a, b)[0])(b[:, 0])
    check_grads(lambda a: L.lstsq(a, b)[0])(a)


def test_least_squares_with_a_cut():
    a, b = with_spectrum(np.array([1.0, 0.8, 0.1])), numbers(3)
    got, expected = L.lstsq(Tensor(a), b, 0.5), L.lstsq(a, b, 0.5)
    assert got[2] == expected[2] == 2 and got[1].shape == (0,)
    for k in (0, 3): np.testing.assert_allclose(got[k].value, expected[k], rtol=1e-10)
    check_grads(lambda a, b: L.lstsq(a, b, 0.5)[::3])(a, b)


def test_nuclear_and_spectral_norm_at_zero_and_at_a_missing_value():
    for order in ("nuc", 2, -2, "fro", 1, np.inf):
        np.testing.assert_array_equal(gradient(lambda a: L.norm(a, order), np.zeros((3, 2)), g=np.float64(1)), 0)
    np.testing.assert_allclose(gradient(lambda a: L.norm(a, "nuc"), np.diag([2.0, 0.0]), g=np.float64(1)), np.diag([1.0, 0.0]))


# --- QR ---------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 2), (1, 4), (4, 1)])
@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_rebuilding_a_matrix_from_qr_is_the_identity(shape, dtype, mode):
    a, g = numbers(*shape, dtype=dtype), numbers(*shape, dtype=dtype, seed=3)
    np.testing.assert_allclose(gradient(lambda a: np.matmul(*L.qr(a, mode)), a, g=g), g, atol=1e-10)


def test_r_alone_is_the_r_of_both():
    a, g = numbers(4, 3), numbers(3, 3)
    np.testing.assert_array_equal(L.qr(Tensor(a), "r").value, L.qr(a, "r"))
    np.testing.assert_array_equal(gradient(lambda a: L.qr(a, "r"), a, g=g), gradient(lambda a: L.qr(a).R, a, g=g))


def test_r_and_the_cholesky_factor_agree():
    a, g = numbers(5, 3), numbers(3, 3)
    sign = np.sign(np.diag(L.qr(a).R))[:, None]
    np.testing.assert_allclose(gradient(lambda a: sign * L.qr(a).R, a, g=g), gradient(lambda a: L.cholesky(a.T @ a, upper=True), a, g=g), atol=1e-10)


@pytest.mark.parametrize("mode", ["raw", "full", "economic", 3])
def test_other_modes_are_refused(mode):
    with pytest.raises(TypeError, match="expected 'reduced', 'complete' or 'r', got"): L.qr(Tensor(np.eye(2)), mode)


def test_dependent_columns_have_no_derivative():
    with pytest.raises(L.LinAlgError, match="Singular"): gradient(lambda a: L.qr(a).Q, np.zeros((3, 2)))


# --- norms ------------------------------------------------------------------------------------------------------------------

ORDERS = [None, 1, 2, 3, 4, 2.5, 1.5, 0.5, -1, np.inf, -np.inf]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@given(data=st.data())
@quick
def test_vector_norms_over_any_axis(order, dtype, data):
    x = numbers(2, 3, 2, dtype=dtype)
    axis, keepdims = data.draw(st.integers(-3, 2)), data.draw(st.booleans())
    y, expected = L.norm(Tensor(x), order, axis, keepdims), L.norm(x, order, axis, keepdims)
    assert y.dtype == expected.dtype and y.shape == expected.shape
    np.testing.assert_array_equal(y.value, expected)
    if dtype is np.float64: check_grads(lambda x: L.norm(x, order, axis, keepdims), order=1)(x)


@pytest.mark.parametrize("order", [None, "fro", "f", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
@given(axes=st.permutations([0, 1, -1]).map(lambda p: tuple(p[:2])), keepdims=st.booleans())
@quick
def test_matrix_norms_over_any_two_axes(order, axes, keepdims):
    x = numbers(2, 3, 4)
    y, expected = L.norm(Tensor(x), order, axes, keepdims), L.norm(x, order, axes, keepdims)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.value, expected, rtol=1e-14)
    check_grads(lambda x: L.norm(x, order, axes, keepdims), order=1)(x)


@pytest.mark.parametrize("order", [2, 1, 3, np.inf, 0.5])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_vector_norm_takes_any_number_of_axes(order, axis, keepdims):
    x = numbers(2, 3, 2)
    y, expected = L.vector_norm(Tensor(x), axis=axis, ord=order, keepdims=keepdims), L.vector_norm(x, axis=axis, ord=order, keepdims=keepdims)
    assert y.shape == np.shape(expected)
    np.testing.assert_array_equal(y.value, expected)
    check_grads(lambda x: L.vector_norm(x, axis=axis, ord=order, keepdims=keepdims), order=1)(x)


@pytest.mark.parametrize("order", [o for o in ORDERS if o is None or o > 0])
@pytest.mark.parametrize("dtype", [float, complex])
def test_the_norm_of_zero_has_gradient_zero_to_any_order(order, dtype):
    t = Tensor(np.zeros(3, dtype))
    y = L.norm(t, order)
    for _ in range(3):
        y = gradients(y, t, create_graph=True)
        assert not np.any(getattr(y, "value", y))
        if not isinstance(y, Tensor): break
        y = np.sum(y * np.arange(1.0, 4.0))


@pytest.mark.parametrize("order", [1.5, 2, 3, 4, 6])
def test_a_zero_among_the_numbers(order):
    x = np.array([0.0, 1.0, -2.0])
    check_grads(lambda x: L.norm(x, order), order=3 if order in (2, 4, 6) else 1)(x)
    assert np.isfinite(hessian(lambda x: L.norm(x, order))(x)).all()


def test_even_orders_are_exact_at_a_zero_to_fourth_order():
    t = Tensor(np.array([0.0, 1.0]))
    y = L.norm(t, 4)                                          # (x^4 + 1)^(1/4) = 1 + x^4 / 4 + ...
    for _ in range(4): y = gradients(y, t, create_graph=True)[0]
    assert np.isclose(y.value, 6.0)


def test_a_very_long_and_a_very_short_vector():
    for scale in (1e150, 1e-150):
        x = scale * np.array([3.0, 4.0])
        np.testing.assert_allclose(gradient(L.norm, x, g=np.float64(1)), [0.6, 0.8])
        np.testing.assert_allclose(gradient(lambda x: L.norm(x, 1.5), x, g=np.float64(1)), gradient(lambda x: L.norm(x, 1.5), x / scale, g=np.float64(1)))


def test_norm_refuses_by_name():
    t, cube = Tensor(np.eye(2)), Tensor(np.ones((2, 2, 2)))
    for call, message in ((lambda: L.norm(t, 3), "norm: ord: expected .* for matrices, got 3"), (lambda: L.norm(t, "fro", axis=0), "norm: ord: .* vectors, got 'fro'"),
                          (lambda: L.norm(cube, 2), "norm: axis: expected one axis for vectors or two for matrices"), (lambda: L.norm(t, "nonsense"), "norm: ord"),
                          (lambda: L.norm(t, axis=(0, 0)), "repeated axis"), (lambda: L.norm(t, axis=5), "axis 5 is out of bounds")):
        with pytest.raises(ValueError, match=message): call()


def test_norm_of_numbers():
    for x in (-3.0, 3.0):
        t = Tensor(x)
        assert gradients(L.norm(t), t) == np.sign(x)
    assert L.norm(Tensor(np.zeros((2, 0)))).value == 0 and L.norm(Tensor(np.zeros((0, 2))), np.inf).value == 0


# --- compositions -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [-5, -2, -1, 1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
def test_matrix_powers_are_numpys(n, dtype):
    a = numbers(2, 3, 3, dtype=dtype)
    np.testing.assert_array_equal(L.matrix_power(Tensor(a), n).value, L.matrix_power(a, n))


def test_matrix_power_wants_an_integer():
    with pytest.raises(TypeError): L.matrix_power(Tensor(np.eye(2)), 0.5)


@given(st.lists(st.integers(1, 6), min_size=3, max_size=7), st.booleans(), st.booleans())
@quick
def test_multi_dot_of_any_shapes(lengths, first, last):
    if first: lengths[0] = 1
    if last: lengths[-1] = 1
    arrays = [numbers(m, n, seed=k) for k, (m, n) in enumerate(zip(lengths, lengths[1:]))]
    if first: arrays[0] = arrays[0][0]
    if last: arrays[-1] = arrays[-1][:, 0]
    y, expected = L.multi_dot([Tensor(a) for a in arrays]), L.multi_dot(arrays)
    assert y.shape == np.shape(expected)
    np.testing.assert_allclose(y.value, expected, rtol=1e-9, atol=1e-9)


@given(st.lists(st.integers(1, 9), min_size=3, max_size=7))
@quick
def test_the_cheapest_order_is_the_cheapest(lengths):
    def cheapest(i, j):
        return min((cheapest(i, k) + cheapest(k, j) + lengths[i] * lengths[k] * lengths[j] for k in range(i + 1, j)), default=0)
    assert linalg.last_product(tuple(lengths))[0] == cheapest(0, len(lengths) - 1)


def test_multi_dot_of_tensors_and_arrays():
    a, b, c = numbers(2, 3), numbers(3, 2), numbers(2)
    check_grads(lambda b: L.multi_dot([a, b, c]))(b)
    np.testing.assert_allclose(gradient(lambda b: L.multi_dot([a, b, c]), b, g=np.ones(2)), np.outer(a.sum(0), c))


def test_tensor_inverse_and_solution_are_numpys():
    a, b = numbers(4, 6, 8, 3), numbers(4, 6)
    np.testing.assert_allclose(L.tensorinv(Tensor(a), 2).value, L.tensorinv(a, 2))
    np.testing.assert_allclose(L.tensorsolve(Tensor(a), b).value, L.tensorsolve(a, b))
    for shape, axes in (((2, 3, 6), None), ((2, 6, 3), (1,)), ((6, 2, 3), (0,)), ((3, 2, 2, 3), (0, 2)), ((3, 2, 2, 3), (2, 0))):
        a = numbers(*shape)
        b = numbers(*[n for k, n in enumerate(shape) if k not in (axes or (2,))])
        np.testing.assert_allclose(L.tensorsolve(Tensor(a), b, axes).value, L.tensorsolve(a, b, axes))
        check_grads(lambda a, b: L.tensorsolve(a, b, axes), order=1)(a, b)


@pytest.mark.parametrize("p", [None, 1, -1, 2, -2, np.inf, -np.inf, "fro"])
def test_condition_number_of_a_singular_matrix_is_infinite_and_moves_nothing(p):
    a = np.stack([numbers(3, 3), np.zeros((3, 3)), numbers(3, 3, seed=1)])
    y = L.cond(Tensor(a), p)
    np.testing.assert_allclose(y.value, L.cond(a, p), rtol=1e-10)
    if p == -2: return
    grad = gradient(lambda a: L.cond(a, p), a)
    assert not grad[1].any() and grad[0].any() and np.isfinite(grad).all()


# --- errors -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fn", [L.inv, L.det, L.slogdet, L.cholesky, L.eigh, L.eigvalsh, L.eig, L.eigvals, lambda a: L.solve(a, np.ones(2)), lambda a: L.matrix_power(a, 2), lambda a: L.cond(a, 1),
                                lambda a: L.svd(a, hermitian=True), lambda a: L.pinv(a, hermitian=True)])
@pytest.mark.parametrize("shape", [(3,), (2, 3), ()])
def test_a_matrix_that_is_not_square_is_named(fn, shape):
    with pytest.raises(L.LinAlgError, match=r": [ax]: expected square matrices, shape \(\.\.\., n, n\); got shape"): fn(Tensor(np.ones(shape)))


@pytest.mark.parametrize("fn", [L.svd, L.svdvals, L.pinv, L.qr, L.cond])
def test_a_vector_is_no_matrix(fn):
    with pytest.raises(L.LinAlgError, match=r"expected matrices, shape \(\.\.\., m, n\); got shape \(3,\)"): fn(Tensor(np.ones(3)))


def test_errors_name_function_argument_and_shape():
    t = Tensor(np.eye(2))
    for call, message in ((lambda: L.solve(t, np.ones((3, 1))), r"solve of shapes \(2, 2\) and \(3, 1\)"), (lambda: L.solve(t, np.float64(1)), "solve: b: expected matrices"),
                          (lambda: L.pinv(t, 0.1, rtol=0.1), "pinv: expected rcond= or rtol=, got both"), (lambda: L.lstsq(t, np.ones(3)), "lstsq: b: expected 2 rows"),
                          (lambda: L.lstsq(t, np.ones((2, 1, 1))), "lstsq: b: expected 1 or 2 axes"), (lambda: L.multi_dot([t]), "multi_dot: arrays: expected at least two, got 1"),
                          (lambda: L.multi_dot([t, Tensor(np.ones(2)), t]), "multi_dot: arrays: expected 2 axes at position 1"), (lambda: L.tensorinv(t, 0), "tensorinv: ind"),
                          (lambda: L.tensorinv(Tensor(np.ones((2, 3))), 1), "tensorinv: a"), (lambda: L.tensorsolve(t, np.ones(3)), "tensorsolve: a"),
                          (lambda: L.inv(Tensor(np.ones((2, 2)))), "Singular matrix"), (lambda: L.cholesky(Tensor(-np.eye(2))), "positive definite")):
        with pytest.raises(ValueError, match=message): call()


def test_out_is_refused():
    with pytest.raises(TypeError, match="out="): L.multi_dot([Tensor(np.eye(2)), np.eye(2)], out=np.eye(2))


# --- what should not cost what it need not ------------------------------------------------------------------------------------

def test_the_adjoint_of_an_inverse_inverts_nothing(monkeypatch):
    t = Tensor(numbers(3, 3))
    y = L.inv(t)
    monkeypatch.setattr(L, "inv", None)
    monkeypatch.setattr(L, "solve", None)
    assert gradients(y, t, np.eye(3)).shape == (3, 3)


def test_constants_cost_nothing(monkeypatch):
    a, b = numbers(3, 3), Tensor(numbers(3))
    y = L.solve(a, b)
    calls = []
    monkeypatch.setattr(L, "solve", lambda *args, solve=L.solve: calls.append(args) or solve(*args))
    gradients(y, b, np.ones(3))
    assert len(calls) == 1
