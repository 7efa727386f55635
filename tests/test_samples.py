"""Samples: against loops, matrices, quadrature and NumPy's own values; every option, the ends, the holes and the errors."""
import warnings

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings
from numpy.lib import scimath

from autodiffnb import Tensor, check_grads, gradients, jacobian, jvp, topological_order
from autodiffnb.samples import bessel_cosines, convolved, i0_derivative, pieces_by_mode, rows_of, sinc_derivative
from autodiffnb.tensor import constants, entries, refusals

quick = settings(max_examples=60, deadline=None)
numbers = st.floats(-4, 4, width=16)
MODES = ("full", "same", "valid")
X4 = np.array([0.0, 1.0, 3.0, 4.0])


def rng(): return np.random.default_rng(0)


def rows(n): return hnp.arrays(float, n, elements=numbers)


def plain(y): return y.value if isinstance(y, Tensor) else y


def agrees(f, *arrays, rtol=1e-12):
    "The value of `f` of Tensors is that of NumPy's own, in shape, dtype and number."
    got, expected = f(*map(Tensor, arrays)), f(*arrays)
    several = isinstance(expected, (tuple, list))
    assert not several or type(got) is type(expected)
    for y, e in zip(got if several else [got], expected if several else [expected], strict=True):
        assert np.shape(plain(y)) == np.shape(e) and plain(y).dtype == np.asarray(e).dtype
        np.testing.assert_allclose(plain(y), e, rtol=rtol, atol=rtol)


def pulled(f, x, g): return gradients(f(t := Tensor(x)), t, g)


# --- differences, integrals, slopes ----------------------------------------------------------------------------------

@quick
@given(hnp.arrays(float, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), elements=numbers), st.integers(0, 3), st.data())
def test_diff_in_every_way(x, n, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    ends = {name: data.draw(st.sampled_from([0.5, x, np.moveaxis(np.moveaxis(x, axis, 0)[:1], 0, axis)])) for name in ("prepend", "append") if data.draw(st.booleans())}
    agrees(lambda x: np.diff(x, n, axis, **ends), x)
    y = np.diff(x, n, axis, **ends)
    g = rng().normal(size=y.shape)
    matrix = np.stack([(np.diff(x + e.reshape(x.shape), n, axis, **ends) - y).ravel() for e in np.eye(x.size)], 1) if x.size else np.zeros((y.size, 0))
    np.testing.assert_allclose(pulled(lambda x: np.diff(x, n, axis, **ends), x, g).ravel(), matrix.T @ g.ravel(), atol=1e-10)


def test_ends_of_a_difference_may_be_tensors_beside_plain_samples():
    end = Tensor(2.0)
    assert gradients(np.diff(X4, append=end), end, np.arange(1.0, 5.0)) == 4.0
    assert gradients(np.sum(np.ediff1d(X4, to_begin=end)), end) == 1.0


def test_wrong_differences_say_what_is_wrong():
    t = Tensor(X4)
    with pytest.raises(ValueError, match="n: expected 0 or more, got -1"): np.diff(t, -1)
    with pytest.raises(ValueError, match="a: expected at least one axis"): np.diff(Tensor(1.0))
    with pytest.raises(TypeError, match="to_end: expected numbers that fit into float64, got complex128"): np.ediff1d(t, 1j)
    assert np.diff(t, 0) is t


@quick
@given(st.integers(1, 6).flatmap(lambda n: st.tuples(rows(n), rows(n))))
def test_integration_by_parts(pair):
    f, x = map(Tensor, pair)
    total = np.trapezoid(f, x) + np.trapezoid(x, f)
    for t, other in ((f, x.value), (x, f.value)):
        ends = np.zeros_like(other)
        ends[0] -= other[0]
        ends[-1] += other[-1]
        np.testing.assert_allclose(gradients(total, t), ends, atol=1e-12)


def test_trapezoid_of_rows_with_every_kind_of_width():
    y = rng().normal(size=(2, 4))
    for f in (lambda y: np.trapezoid(y, dx=0.3), lambda y: np.trapezoid(y, X4), lambda y: np.trapezoid(y, [0, 1, 2, 4], axis=1), lambda y: np.trapezoid(y, y + X4),
              lambda y: np.trapezoid(y, axis=0), lambda y: np.trapezoid(y, [3.0, 1.0], axis=0), lambda y: np.trapezoid(y, dx=np.arange(3.0))):
        agrees(f, y)
        check_grads(f)(y)
    width = Tensor(0.5)
    assert gradients(np.sum(np.trapezoid(Tensor(y), dx=width)), width) == pytest.approx(np.trapezoid(y).sum())


@quick
@given(hnp.arrays(float, hnp.array_shapes(min_dims=1, max_dims=3, min_side=3, max_side=5), elements=numbers), st.data())
def test_gradient_in_every_way(f, data):
    axes = data.draw(st.sampled_from([None, 0, -1, tuple(range(f.ndim)), tuple(reversed(range(f.ndim)))]))
    which = range(f.ndim) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    places = [np.cumsum(rng().uniform(0.5, 1.5, f.shape[n])) for n in which]
    distances = data.draw(st.sampled_from([(), (0.5,), tuple(0.5 + k for k in range(len(places))), tuple(places), (0.25, *places[1:])]))
    for edge_order in (1, 2): agrees(lambda f: np.gradient(f, *distances, axis=axes, edge_order=edge_order), f, rtol=1e-10)


def three_point(f, x):
    "The slopes at the inner samples by the formula in NumPy's documentation, in loops."
    slopes = []
    for i in range(1, len(x) - 1):
        d, s = x[i + 1] - x[i], x[i] - x[i - 1]
        slopes.append((s**2 * f[i + 1] + (d**2 - s**2) * f[i] - d**2 * f[i - 1]) / (s * d * (d + s)))
    return np.stack(slopes)


@pytest.mark.parametrize("x", [X4, np.arange(4.0)], ids=["uneven", "even"])
def test_slopes_move_with_the_places_also_where_these_are_even(x):
    f, g = np.array([1.0, -2.0, 0.5, 3.0]), np.array([1.0, -3.0])
    ts = [Tensor(f), Tensor(x)]
    for got, expected in zip(gradients(np.gradient(*ts)[1:-1], ts, g), gradients(three_point(*ts), ts, g)): np.testing.assert_allclose(got, expected, atol=1e-12)
    for edge_order in (1, 2): check_grads(lambda f, x: np.gradient(f, x, edge_order=edge_order))(f, x)


def test_parabolas_have_exact_slopes_to_the_ends():
    x, c = np.array([0.0, 0.3, 1.1, 2.0, 2.2]), Tensor([2.0, -1.0, 0.5])
    np.testing.assert_allclose(np.gradient(np.polyval(c, x), x, edge_order=2).value, 4 * x - 1, rtol=1e-12)
    np.testing.assert_allclose(jacobian(lambda c: np.gradient(np.polyval(c, x), x, edge_order=2))(c.value), np.stack([2 * x, np.ones(5), np.zeros(5)], 1), atol=1e-12)


def test_gradient_of_integers_and_of_plain_samples():
    x = Tensor(X4)
    agrees(lambda x: np.gradient(np.array([1, 4, 2, 0]), x), X4)
    assert np.gradient(np.arange(4, dtype=np.float32), x).dtype == np.float32
    assert np.gradient(Tensor(X4.astype(np.float32)), np.float64(0.1)).dtype == np.float32


def test_wrong_slopes_say_what_is_wrong():
    t = Tensor(X4)
    with pytest.raises(ValueError, match="edge_order: expected 1 or 2, got 3"): np.gradient(t, edge_order=3)
    with pytest.raises(TypeError, match="one for each of 1 axes; got 2"): np.gradient(t, 1.0, 2.0)
    with pytest.raises(ValueError, match=r"places along axis 0: expected shape \(4,\), got \(3,\)"): np.gradient(t, X4[1:])
    with pytest.raises(ValueError, match="expected more than 1 samples along axis 0, got 1"): np.gradient(t[:1])
    with pytest.raises(ValueError, match="expected more than 2 samples along axis 0, got 2"): np.gradient(t[:2], edge_order=2)


# --- interpolation ----------------------------------------------------------------------------------------------------

@quick
@given(st.integers(1, 6).flatmap(lambda n: st.tuples(rows(n), rows(n))), rows(7), st.sampled_from([{}, {"left": -9.0}, {"right": 9.0}, {"period": 2.5}, {"period": -7.0, "left": 3.0}]))
def test_interp_is_numpys_and_linear_in_the_samples(pair, x, options):
    xp, fp = np.sort(pair[0]), pair[1]
    if "period" in options: assume(len(set(np.mod(xp, abs(options["period"])))) == len(xp))
    x = np.concatenate([x, xp])                                     # at the samples too
    agrees(lambda x, xp, fp: np.interp(x, xp, fp, **options), x, xp, fp, rtol=1e-10)
    f = lambda fp: np.interp(x, xp, fp, **options)
    g, zero = rng().normal(size=x.shape), f(np.zeros_like(fp))
    matrix = np.stack([f(row) - zero for row in np.eye(len(fp))], 1)
    np.testing.assert_allclose(pulled(f, fp, g), matrix.T @ g, atol=1e-10)


def test_at_a_sample_the_slope_to_its_right_holds():
    x = np.array([-1.0, 0.0, 0.5, 1.0, 3.0, 4.0, 5.0])
    assert pulled(lambda x: np.interp(x, X4, X4**2), x, np.ones(7)).tolist() == [0, 1, 1, 4, 7, 7, 0]


def test_places_of_samples_and_the_values_beyond():
    fp, u = np.array([1.0, -2.0, 0.5, 3.0]), np.array([-1.0, 0.4, 2.0, 3.3, 9.0])
    check_grads(lambda u, xp, fp: np.interp(u, xp, fp))(u, X4, fp)
    check_grads(lambda u, xp, fp: np.interp(u, xp, fp, period=5.5))(u, X4, fp)
    check_grads(lambda u, left, right: np.interp(u, X4, fp, left=left, right=right))(u, np.array(2.0), np.array(3.0))
    check_grads(lambda u, period: np.interp(u, X4, fp, period=period))(u, np.array(5.5))
    check_grads(lambda fp: np.interp(u, X4, fp))(fp + 1j * fp[::-1])


def test_interp_takes_one_sample_nan_and_jumps():
    agrees(lambda x: np.interp(x, [1.0], [5.0], left=0.0), np.array([0.0, 1.0, 2.0]))
    agrees(lambda x: np.interp(x, X4, X4), np.array([np.nan, 0.5]))
    jump = [0.0, 1.0, 1.0, 2.0, 2.0]
    agrees(lambda x: np.interp(x, jump, [0.0, 1.0, 5.0, 6.0, 7.0]), np.array([0.5, 1.0, 1.5, 2.0]))
    assert np.isfinite(pulled(lambda fp: np.interp([0.5, 1.0, 2.0], jump, fp), np.arange(5.0), np.ones(3))).all()
    single = np.interp(Tensor(np.float32([0.5])), X4, X4)
    assert single.dtype == np.interp(np.float32([0.5]), X4, X4).dtype == np.float64


def test_wrong_interpolations_say_what_is_wrong():
    t = Tensor(X4)
    with pytest.raises(ValueError, match=r"expected one axis of the same length, at least 1; got shapes \(4,\) and \(3,\)"): np.interp(0.5, X4, t[:3])
    with pytest.raises(ValueError, match=r"got shapes \(0,\) and \(0,\)"): np.interp(t, [], [])
    with pytest.raises(ValueError, match="period: expected a number other than 0"): np.interp(t, X4, X4, period=0)
    for x, xp in ((Tensor(1 + 2j), X4), (0.5, Tensor(X4 + 1j)), (t, X4 + 1j)):
        with pytest.raises(TypeError, match="interp: xp?: expected real numbers, got complex128; only fp may be complex"): np.interp(x, xp, X4)


# --- filters ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fn", [np.convolve, np.correlate])
@pytest.mark.parametrize("kind", [float, complex])
def test_filters_of_every_length(fn, mode, kind):
    for n in range(1, 6):
        for m in range(1, 6):
            a, v = (rng().normal(size=k) + (1j * rng().normal(size=k) if kind is complex else 0) for k in (n, m))
            agrees(lambda a, v: fn(a, v, mode), a, v)
            y = fn(a, v, mode)
            g = rng().normal(size=y.shape).astype(kind)
            np.testing.assert_allclose(pulled(lambda a: fn(a, v, mode), a, g), np.stack([fn(row, v, mode) for row in np.eye(n)]) @ g, atol=1e-12)
            back = np.stack([fn(a, row, mode) for row in np.eye(m)]) @ g            # conjugated once more for a correlation, which is linear in conj(v)
            if fn is np.correlate and kind is complex: back = np.conjugate(back)
            np.testing.assert_allclose(pulled(lambda v: fn(a, v, mode), v, g), back, atol=1e-12)


@quick
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_a_piece_of_a_convolution_is_a_slice_of_all_of_it(n, m, data):
    begin = data.draw(st.integers(0, min(n, m) - 1))
    length = data.draw(st.integers(max(n, m) - begin, n + m - 1 - begin))
    a, v = rng().normal(size=n), rng().normal(size=m)
    np.testing.assert_allclose(convolved(a, v, begin, length), np.convolve(a, v)[begin:begin + length], atol=1e-12)
    check_grads(lambda a, v: convolved(a, v, begin, length))(a, v)


def test_the_way_back_of_a_valid_convolution_computes_no_more_than_the_way_there(monkeypatch):
    a, v = Tensor(rng().normal(size=300)), Tensor(rng().normal(size=300))
    y, products, convolve = np.convolve(a, v, "valid"), [], np.convolve
    def counted(a, v, mode="full"):
        short, long = sorted((len(a), len(v)))
        products.append(short * pieces_by_mode(short, long)[mode][1])
        return convolve(a, v, mode)
    monkeypatch.setattr(np, "convolve", counted)
    gradients(y, [a, v], np.ones(1))
    assert sum(products) == 600


def test_filters_take_numbers_and_lists_and_refuse_the_rest():
    agrees(lambda x: np.convolve(x, [1.0, 2.0]), X4)
    agrees(lambda x: np.convolve(x, 2.0), X4)
    with pytest.raises(ValueError, match=r"convolve: a: expected one axis with at least one number, got shape \(0,\)"): np.convolve(Tensor(X4[:0]), X4)
    with pytest.raises(ValueError, match=r"correlate: v: expected one axis with at least one number, got shape \(2, 2\)"): np.correlate(X4, Tensor(np.ones((2, 2))))
    with pytest.raises(ValueError, match="mode: expected 'full', 'same' or 'valid', got 'some'"): np.convolve(Tensor(X4), X4, "some")


# --- polynomials ------------------------------------------------------------------------------------------------------

@quick
@given(st.integers(0, 5).flatmap(rows), hnp.arrays(float, hnp.array_shapes(min_dims=0, max_dims=2, max_side=3), elements=numbers))
def test_polyval_is_the_sum_of_powers(p, x):
    agrees(np.polyval, p, x)
    powers = [x ** (len(p) - 1 - k) for k in range(len(p))]
    g = rng().normal(size=x.shape)
    ts = [Tensor(p), Tensor(x)]
    p_bar, x_bar = gradients(np.polyval(*ts), ts, g)
    np.testing.assert_allclose(p_bar, [np.sum(g * power) for power in powers], atol=1e-9)
    np.testing.assert_allclose(x_bar, g * sum(((len(p) - 1 - k) * p[k] * x ** (len(p) - 2 - k) for k in range(len(p) - 1)), np.zeros_like(x)), atol=1e-9)


def test_polyval_to_the_fifth_order():
    check_grads(np.polyval, order=4)(np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.3, 1.1]))
    d = lambda f: lambda x: jvp(f, (x,), (np.ones_like(plain(x)),))[1]
    f = lambda x: np.polyval([2.0, 0.0, -1.0, 3.0, 0.0, 1.0], x)
    for _ in range(5): f = d(f)
    assert f(np.array(1.7)) == pytest.approx(240.0)


def test_newer_polynomials_take_tensors_as_numpy_wrote_them():
    check_grads(lambda x: np.polynomial.polynomial.polyval(x, [1.0, 2.0, -3.0]))(X4)
    check_grads(np.poly1d([1.0, 2.0, -3.0]))(X4)
    if np.polynomial.polynomial.polyval2d in entries:
        with pytest.raises(ValueError, match=r"polyval2d: c: expected at least two axes, got shape \(4,\)"): np.polynomial.polynomial.polyval2d(1.0, 2.0, Tensor(X4))
        with pytest.raises(ValueError, match="x and y: expected the same shape"): np.polynomial.polynomial.polyval2d(Tensor(X4), 2.0, np.ones((2, 2)))


@pytest.mark.parametrize("p", [[0.0, 0.0, 1.0, 2.0], [0.0, 0.0], [3.0], [1.0, 2.0, 0.0]])
def test_leading_zeros_are_cut_off_as_numpy_cuts_them(p):
    q = np.array([2.0, -1.0])
    agrees(np.polymul, np.array(p), q)
    agrees(np.polymul, q, np.array(p))
    assert pulled(lambda p: np.polymul(p, q), np.array(p), np.ones_like(np.polymul(p, q))).shape == (len(p),)
    if not any(p): assert pulled(lambda p: np.sum(np.polymul(p, q)), np.array(p), None)[-1] == 1.0


@quick
@given(st.integers(1, 5).flatmap(rows), st.integers(1, 3).flatmap(rows))
def test_quotient_times_divisor_plus_remainder_moves_as_the_dividend(u, v):
    u, v = u + rng().normal(size=len(u)), v + np.sign(v[0] + 0.1) * np.eye(len(v))[0]        # no zeros at the front, which would be cut off
    agrees(np.polydiv, u, v, rtol=1e-9)
    def whole(u, v):
        q, r = np.polydiv(u, v)
        return np.polyadd(np.convolve(q, v), r)[-len(u):]
    ts = [Tensor(u), Tensor(v)]
    y = whole(*ts)
    g = rng().normal(size=y.shape)
    u_bar, v_bar = gradients(y, ts, g)
    np.testing.assert_allclose(u_bar[-len(g):], g, atol=1e-6)
    np.testing.assert_allclose(v_bar, 0, atol=1e-6)


def test_roots_and_coefficients_are_inverses():
    zeros = np.array([-1.5, 0.4, 2.0])
    p = np.poly(zeros)
    there, back = jacobian(np.poly)(zeros), jacobian(lambda p: np.sort(np.roots(p)))(p)
    np.testing.assert_allclose(back @ there, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(there[0], 0, atol=1e-14)


@pytest.mark.parametrize("p", [[1.0, 0.5, 6.0], [2.0, 0.0, 3.0, 1.0], [0.0, 1.0, -5.0, 6.0], [1.0, -1.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
def test_roots_complex_or_at_zero(p):
    p = np.array(p)
    agrees(np.roots, p)
    lead, tail = (1 if p[0] == 0 else 0), (1 if p[-1] == 0 else 0)          # a zero at an end changes how many roots there are, so it stays
    inner = p[lead:len(p) - tail]
    check_grads(lambda q: np.roots(np.concatenate([np.zeros(lead), q, np.zeros(tail)])))(inner)
    z = np.roots(p)
    J = np.stack([pulled(lambda p: np.real(np.roots(p)), p, e) for e in np.eye(len(z))])
    derivative = np.polyval(np.polyder(p), z)
    np.testing.assert_allclose(J, -np.real(np.vander(z, len(p)) / derivative[:, None]), atol=1e-9)


def test_poly_of_conjugate_pairs_is_real_and_of_a_matrix_its_characteristic_polynomial():
    agrees(np.poly, np.array([1 + 2j, 1 - 2j, 3.0]))
    assert np.poly(Tensor([1 + 2j, 1 - 2j])).dtype == np.float64
    check_grads(np.poly, order=1)(np.array([1 + 2j, 0.5j]))
    if np.linalg.eigvals in entries or np.linalg.eigvals in constants:
        A = np.array([[2.0, 1.0], [0.5, -1.0]])
        agrees(np.poly, A)
        np.testing.assert_allclose(pulled(np.poly, A, [0.0, 0.0, 1.0]), np.linalg.det(A) * np.linalg.inv(A).T, atol=1e-10)
    with pytest.raises(ValueError, match=r"poly: expected roots along one axis, or a square matrix; got shape \(2, 3\)"): np.poly(Tensor(np.ones((2, 3))))


def test_integral_and_derivative_of_coefficients():
    p = np.array([1.0, -2.0, 3.0])
    for m in (0, 1, 2, 4): agrees(lambda p: np.polyder(p, m), p)
    for m, k in ((0, None), (1, 2.0), (2, [1.0, 3.0]), (3, 5.0), (2, None)): agrees(lambda p: np.polyint(p, m, k), p)
    k = Tensor(2.0)
    assert gradients(np.polyint(Tensor(p), 2, [k, 1.0]), k, np.arange(5.0)) == 3.0
    np.testing.assert_allclose(np.polyder(np.polyint(Tensor(p), 2), 2).value, p)
    with pytest.raises(ValueError, match="m: expected 0 or more, got -1"): np.polyder(Tensor(p), -1)
    with pytest.raises(ValueError, match="got m=3 and 2 constants"): np.polyint(Tensor(p), 3, [1.0, 2.0])


def test_vander_in_every_form():
    x = np.array([2.0, -1.0, 0.0])
    for options in ({}, {"N": 0}, {"N": 1}, {"N": 5}, {"N": 4, "increasing": True}):
        agrees(lambda x: np.vander(x, **options), x)
        check_grads(lambda x: np.vander(x, **options))(x)
    with pytest.raises(ValueError, match="vander"): np.vander(Tensor(np.ones((2, 2))))


def test_fits():
    if np.linalg.lstsq not in entries: pytest.skip("least squares have no rule here")
    x, y, w = np.array([0.0, 0.7, 1.1, 2.0, 3.0]), np.array([1.0, 0.2, -0.3, 0.5, 2.0]), np.array([1.0, 2.0, 0.5, 1.0, 1.5])
    A = np.vander(x, 3)
    agrees(lambda y: np.polyfit(x, y, 2), y, rtol=1e-10)
    np.testing.assert_allclose(jacobian(lambda y: np.polyfit(x, y, 2))(y), np.linalg.pinv(A), atol=1e-10)
    np.testing.assert_allclose(jacobian(lambda y: np.polyfit(x, y, 2, w=w))(y), np.linalg.pinv(A * w[:, None]) * w, atol=1e-10)
    check_grads(lambda x, y, w: np.polyfit(x, y, 2, w=w))(x, y, w)
    for cov in (True, "unscaled"):
        for z, e in zip(np.polyfit(Tensor(x), Tensor(y), 2, cov=cov), np.polyfit(x, y, 2, cov=cov), strict=True): np.testing.assert_allclose(z.value, e, rtol=1e-9)
        check_grads(lambda x, y: np.polyfit(x, y, 1, w=w, cov=cov)[1])(x, y)
    pair = np.stack([y, y[::-1]], 1)
    agrees(lambda y: np.polyfit(x, y, 1, cov=True), pair, rtol=1e-9)
    for z, e in zip(np.polyfit(Tensor(x), y, 2, full=True), np.polyfit(x, y, 2, full=True), strict=True): np.testing.assert_allclose(plain(z), e, rtol=1e-9)
    with pytest.raises(TypeError, match=r"polyfit: y: expected 5 numbers or rows, as x has; got shape \(4,\)"): np.polyfit(x, Tensor(y[1:]), 1)
    with pytest.raises(TypeError, match=r"polyfit: w: expected 5 numbers"): np.polyfit(x, Tensor(y), 1, w=w[1:])
    with pytest.raises(ValueError, match="cov: expected more samples than coefficients, got 3 and 3"): np.polyfit(x[:3], Tensor(y[:3]), 2, cov=True)


# --- holes ------------------------------------------------------------------------------------------------------------

NODES, WEIGHTS = np.polynomial.legendre.leggauss(120)


@pytest.mark.parametrize("n", range(9))
def test_derivatives_of_sinc_against_quadrature(n):
    x = np.concatenate([np.linspace(-9, 9, 1201), 10.0 ** -np.arange(1, 20), [0.0]])
    t = (NODES + 1) / 2
    expected = (t**n * np.cos(np.pi * x[:, None] * t + n * np.pi / 2)) @ WEIGHTS / 2
    np.testing.assert_allclose(sinc_derivative(x, n=n) / np.pi**n, expected, rtol=0, atol=1e-14)


def test_sinc_at_its_hole_to_the_sixth_order():
    f, derivatives = np.sinc, []
    for _ in range(7):
        derivatives.append(float(plain(f(np.array(0.0)))))
        f = lambda x, f=f: jvp(f, (x,), (np.ones_like(plain(x)),))[1]
    np.testing.assert_allclose(derivatives, [1, 0, -np.pi**2 / 3, 0, np.pi**4 / 5, 0, -np.pi**6 / 7], atol=1e-12)


def test_sinc_keeps_its_digits_beside_the_hole():
    x = 10.0 ** -np.arange(3, 300, 12)
    np.testing.assert_allclose(pulled(np.sinc, x, np.ones_like(x)), -np.pi**2 * x / 3 * (1 - np.pi**2 * x**2 / 10), rtol=1e-12)
    check_grads(np.sinc, order=1)(np.array([0.3 + 0.2j, 2.0 - 0.5j]))


@pytest.mark.parametrize("n", range(6))
def test_derivatives_of_i0_against_scipy(n):
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(-30, 30, 601), [100.0, 300.0, 700.0, 1e-3, 1e-9]])
    expected = special.ivp(0, x, n) if n else special.iv(0, x)
    np.testing.assert_allclose(i0_derivative(x, n=n), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_i0_solves_bessels_equation_in_every_precision(dtype):
    x = np.array([0.0, 0.1, 1.0, 7.9, 8.1, 40.0, 80.0], dtype)
    d0, d1, d2 = (i0_derivative(x, n=n) for n in range(3))
    assert d2.dtype == dtype
    tolerance = 300 * max(np.finfo(dtype).eps, np.finfo(np.float64).eps)     # the cosines are Python numbers
    np.testing.assert_allclose(x * d2 + d1, x * d0, rtol=tolerance, atol=tolerance)
    assert len(bessel_cosines(np.float32, 1)) < len(bessel_cosines(np.float64, 1))


def test_i0_at_zero():
    f = lambda x: np.i0(x)
    check_grads(f, order=4)(np.array([0.0, -0.2, 3.0]))
    x = np.array([1e-300, 1e-20, 1e-5])
    np.testing.assert_allclose(pulled(np.i0, x, np.ones(3)), x / 2 * (1 + x**2 / 8), rtol=1e-14)
    with pytest.raises(TypeError, match="complex"): np.i0(Tensor([1j]))


# --- angles, and numbers that are not -----------------------------------------------------------------------------------

def test_angles():
    z = np.array([3 + 4j, -1 + 0.5j, -2 - 1j])
    for deg in (False, True):
        agrees(lambda z: np.angle(z, deg), z)
        check_grads(lambda z: np.angle(z, deg=deg))(z)
    assert pulled(np.angle, np.array([0j, 1j]), np.ones(2)).tolist() == [0, -1]
    agrees(np.angle, np.array([-1.0, 0.0, 2.0]))
    assert pulled(np.angle, np.array([-1.0, 0.0, 2.0]), np.ones(3)).tolist() == [0, 0, 0]


def test_unwrapped_angles_move_as_they_are():
    p = np.array([0.0, 3.0, 6.5, 0.5, -4.0, 2.0])
    for options in ({}, {"period": 5.0}, {"discont": 4.0}, {"axis": 0}):
        agrees(lambda p: np.unwrap(p, **options), p)
        assert pulled(lambda p: np.unwrap(p, **options), p, np.arange(6.0)).tolist() == list(range(6))
    period = Tensor(5.0)
    np.testing.assert_allclose(np.unwrap(Tensor(p), period=period).value, np.unwrap(p, period=5.0))
    check_grads(lambda p, period: np.unwrap(p, period=period))(p, np.array(5.1))


def test_what_replaces_a_nan_has_no_history():
    x = np.array([1.0, np.nan, np.inf, -np.inf])
    agrees(np.nan_to_num, x)
    agrees(lambda x: np.nan_to_num(x, nan=5.0, posinf=1.0, neginf=2.0), x)
    assert pulled(np.nan_to_num, x, np.ones(4)).tolist() == [1, 0, 0, 0]
    z = np.array([complex(np.nan, 1), complex(2, np.inf), 1 + 1j])
    agrees(np.nan_to_num, z)
    g = np.array([1 + 2j, 3 + 4j, 5 + 6j])
    assert pulled(np.nan_to_num, z, g).tolist() == [2j, 3, 5 + 6j]
    with pytest.raises(TypeError, match="copy=False writes into the array"): np.nan_to_num(Tensor(x), copy=False)


def test_real_if_close_looks_at_the_numbers():
    for z in (np.array([1 + 1e-15j, 2.0]), np.array([1 + 1e-3j, 2.0]), np.array([1.0, 2.0])): agrees(np.real_if_close, z)
    agrees(lambda z: np.real_if_close(z, tol=1e15), np.array([1 + 1e-3j]))


@pytest.mark.parametrize("name", ["sqrt", "log", "log2", "log10", "arccos", "arcsin", "arctanh"])
def test_scimath_beyond_the_domain_is_the_complex_function(name):
    fn, x = getattr(scimath, name), np.array([-4.0, 0.5, 3.0])
    agrees(fn, x)
    check_grads(fn)(x)
    z = x.astype(complex)
    g = np.array([1 + 1j, 2.0, -1j])
    if name not in ("arccos", "arcsin"): np.testing.assert_allclose(pulled(fn, x, g), np.real(pulled(getattr(np, name), z, g)))    # those two have a cut there
    inside = np.array([0.2, 0.9])
    np.testing.assert_allclose(pulled(fn, inside, g[:2].real), pulled(getattr(np, name), inside, g[:2].real))
    assert fn(Tensor(np.float32([0.25]))).dtype == np.float32 and fn(Tensor(np.float32([-4.0]))).dtype == fn(np.float32([-4.0])).dtype


def test_scimath_powers_and_logarithms_to_a_base():
    agrees(scimath.power, np.array([-4.0, 2.0]), np.array(0.5))
    check_grads(scimath.power)(np.array([-4.0, 2.0]), np.array([0.5, 1.5]))
    agrees(scimath.logn, np.array(2.0), np.array([-4.0, 8.0]))
    check_grads(scimath.logn)(np.array(2.0), np.array([-4.0, 8.0]))


# --- products and ends ------------------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
@pytest.mark.parametrize("shapes, options", [(((3,), (3,)), {}), (((2,), (2,)), {}), (((2,), (3,)), {}), (((4, 3), (2,)), {}), (((5, 1, 2), (4, 2)), {}), (((3, 4), (3, 4)), {"axis": 0}),
                                             (((3, 4), (4, 3)), {"axisa": 0}), (((3, 4), (4, 2)), {"axisa": 0, "axisb": 1, "axisc": 0}), (((4, 3), (4, 3)), {"axisc": 0})])
def test_cross_products(shapes, options):
    a, b = (rng().normal(size=shape) for shape in shapes)
    agrees(lambda a, b: np.cross(a, b, **options), a, b)
    check_grads(lambda a, b: np.cross(a, b, **options))(a, b)


def test_wrong_cross_products_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"cross: expected vectors of 2 or 3 numbers, got shapes \(4,\) and \(3,\)"): np.cross(Tensor(np.ones(4)), np.ones(3))
    with pytest.raises(ValueError, match=r"linalg.cross: expected vectors of 3 numbers along axis -1, got shapes \(2,\) and \(3,\)"): np.linalg.cross(Tensor(np.ones(2)), np.ones(3))


@quick
@given(st.integers(0, 5), st.booleans(), st.sampled_from([np.linspace, np.logspace, np.geomspace]), st.sampled_from([((), (), 0), ((2,), (), 0), ((2,), (3, 1), -1), ((2,), (2,), 1)]))
def test_lines_between_ends(num, endpoint, fn, ends):
    shape, other, axis = ends
    start, stop = rng().uniform(0.5, 1.5, shape), rng().uniform(2.0, 3.0, other)
    agrees(lambda a, b: fn(a, b, num, endpoint, axis=axis), start, stop)
    check_grads(lambda a, b: fn(a, b, num, endpoint, axis=axis), order=1)(start, stop)


def test_ends_of_every_kind():
    t = Tensor(np.float32(2.0))
    assert np.linspace(0.0, t, 3).dtype == np.linspace(0, t, 3).dtype == np.linspace(0.0, np.float32(2.0), 3).dtype == np.float32
    assert np.linspace(-3.3, Tensor(2.2), 5, dtype=int).tolist() == np.linspace(-3.3, 2.2, 5, dtype=int).tolist()
    agrees(lambda a, b: np.linspace(a, b, 1, retstep=True), np.array(1.0), np.array(2.0))
    agrees(lambda a, b: np.linspace(a, b, 4, retstep=True), np.array([1.0, 2.0]), np.array(2.0))
    agrees(lambda a, b: np.linspace(a, b, 3), np.array(1j), np.array(2.0))
    agrees(lambda a, b: np.geomspace(a, b, 3), np.array(-1.0), np.array(-8.0))
    agrees(lambda a, b: np.geomspace(a, b, 4), np.array(1j), np.array(8j))
    agrees(lambda a, b: np.geomspace(a, b, 4), np.array(1 + 1j), np.array(-2 + 0.5j))
    agrees(lambda a, b: np.logspace(a, b, 4, base=[2.0, 3.0]), np.array(0.5), np.array(2.0))
    agrees(lambda a, b: np.logspace(a, b, 4, base=[2.0, 3.0], axis=-1), np.array([0.5, 1.0]), np.array(2.0))
    agrees(lambda a: np.linspace(a, [1.0, 2.0], 3, dtype=np.float32), np.array(0.5), rtol=1e-6)
    with pytest.raises(ValueError, match="num: expected 0 or more, got -1"): np.linspace(t, 1.0, -1)
    with pytest.raises(ValueError, match="expected numbers other than 0"): np.geomspace(t, 0.0)


# --- assembling -------------------------------------------------------------------------------------------------------

def test_grids():
    a, b, c = X4, np.arange(2.0), np.arange(3.0)
    for options in ({}, {"indexing": "ij"}, {"sparse": True}, {"sparse": True, "indexing": "ij"}, {"copy": False}):
        for arrays in ((a,), (a, b), (a, b, c)): agrees(lambda *xs: tuple(np.meshgrid(*xs, **options)), *arrays)
        check_grads(lambda a, b: np.meshgrid(a, b, **options))(a, b)
    with pytest.raises(ValueError, match="indexing: expected 'xy' or 'ij', got 'yx'"): np.meshgrid(Tensor(a), indexing="yx")
    x, y = np.ix_(Tensor(b), [True, False, True])
    assert x.shape == (2, 1) and y.tolist() == [[0, 2]]
    with pytest.raises(ValueError, match=r"ix_: expected arrays of one axis, got shapes \(2, 2\)"): np.ix_(Tensor(np.ones((2, 2))))


@pytest.mark.parametrize("nest", [lambda x: x, lambda x: [x], lambda x: [[x]], lambda x: [x[0], 1.0], lambda x: [[x, np.ones((2, 1))], [np.zeros((1, 4))]],
                                  lambda x: [[[x]], [[2 * x]]], lambda x: [x[0], x[1, 0], x[:, 1]]])
def test_blocks(nest):
    x = np.arange(6.0).reshape(2, 3)
    agrees(lambda x: np.block(nest(x)), x)
    check_grads(lambda x: np.block(nest(x * x)))(x)


def test_wrong_blocks_raise_numpys_errors():
    t = Tensor(np.ones((2, 2)))
    for wrong in ([[t], t], [], [[t, np.ones((3, 1))]]):
        with pytest.raises(ValueError): np.block([t, wrong] if not wrong else wrong)
    with pytest.raises(TypeError, match="tuple"): np.block([[t], (t, t)])


@pytest.mark.parametrize("obj, values, axis", [(1, 9.0, None), (-1, 9.0, 0), ([1], [9.0], None), ([1, 1, 0], [7.0, 8.0, 9.0], None), (1, [7.0, 8.0, 9.0], 0), (1, [7.0, 8.0], 1), ([1], [[7.0], [8.0]], 1),
                                               ([0, 2], 5.0, 1), (slice(0, 2), 5.0, 0), (slice(1, 2), [[5.0, 6.0, 7.0]], 0), (np.array([True, False, True]), 3.0, 1), (2, [[1.0, 2.0, 3.0]], 0), ([], [], None), (0, [5.0, 6.0], None)])
def test_insertions(obj, values, axis):
    x, v = np.arange(6.0).reshape(2, 3), np.array(values)
    agrees(lambda x: np.insert(x, obj, values, axis), x)
    if v.dtype == float:
        agrees(lambda x, v: np.insert(x, obj, v, axis), x, v)
        check_grads(lambda x, v: np.insert(x * x, obj, v * v, axis))(x, v)


def test_wrong_insertions_say_what_is_wrong():
    t = Tensor(X4)
    with pytest.raises(TypeError, match="where it inserts has no derivative"): np.insert(X4, Tensor(1.0), 2.0)
    with pytest.raises(TypeError, match="values: expected numbers that fit into int64, got float64"): np.insert(np.arange(3), 1, t)
    with pytest.raises(IndexError): np.insert(t, 9, 1.0)


def test_choices():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([[4.0], [5.0]])
    for mode in ("raise", "wrap", "clip"): agrees(lambda a, b: np.choose([1, 0, 1], [a, b], mode=mode), a, b)
    agrees(lambda a: np.choose([-1, 5, 1], [a, 2 * a], mode="wrap"), a)
    agrees(lambda x: np.choose([2, 0], x), np.arange(6.0).reshape(3, 2))
    agrees(lambda a: np.choose([[0], [0]], [a]), a)
    check_grads(lambda a, b: np.choose([1, 0, 1], [a * a, b * b]))(a, b)
    with pytest.raises(ValueError): np.choose([2], [Tensor(a)])
    with pytest.raises(TypeError, match="which choice is taken has no derivative"): np.choose(Tensor([0.0]), [a])
    with pytest.raises(TypeError, match="out="): np.choose([0, 0, 0], [Tensor(a)], out=np.zeros(3))


def test_piecewise_calls_each_function_with_its_own_numbers():
    x, seen = np.array([-1.0, 0.0, 2.0, 3.0]), []
    def noted(f): return lambda x, *args: seen.append(plain(x).tolist()) or f(x)
    t = Tensor(x)
    y = np.piecewise(t, [t > 1, t < 0], [noted(np.log), noted(np.negative), 7.0])
    assert seen == [[2.0, 3.0], [-1.0]]
    np.testing.assert_allclose(gradients(y, t, np.ones(4)), [-1, 0, 1 / 2, 1 / 3])
    for conditions, functions in (([x > 1], [np.square, 0.0]), (x > 1, [np.square]), ([x > 1, x > 2], [np.square, np.negative]), ([[True, False, True, False]], [np.exp]), ([x > 9], [np.max])):
        agrees(lambda x: np.piecewise(x, conditions, functions), x)
        check_grads(lambda x: np.piecewise(x, conditions, functions))(x)
    agrees(lambda x: np.piecewise(x, [x > 1], [lambda x, k, m=0: k * x + m], 3.0, m=1.0), x)
    for number in (2.0, -2.0): agrees(lambda x: np.piecewise(x, [x > 1, x <= 1], [np.square, np.negative]), np.array(number))
    level = Tensor(5.0)
    assert gradients(np.sum(np.piecewise(t, [x > 1], [level, np.square])), level) == 2.0
    with pytest.raises(ValueError, match="funclist: expected 1 functions or one more, as there are conditions; got 3"): np.piecewise(t, [x > 1], [1.0, 2.0, 3.0])


def test_piecewise_of_a_lazy_array_is_refused():
    da = pytest.importorskip("dask.array")
    t = Tensor(da.from_array(X4))
    with pytest.raises(TypeError, match="np.where"): np.piecewise(t, [t > 1], [np.square, np.negative])


@pytest.mark.parametrize("shape", [(5,), (1, 2), (0, 3), (9, 2, 2)])
def test_rows(shape):
    x = rng().normal(size=shape)
    assert len(rows_of(x)) == shape[0]
    if hasattr(np, "unstack"):
        for axis in range(-len(shape), len(shape)): agrees(lambda x: np.unstack(x, axis=axis), x)
    if shape[0]: check_grads(lambda x: rows_of(x * x))(x)


def test_rows_add_up_little_more_than_the_array(monkeypatch):
    import autodiffnb.shaping
    written, scatter = [], autodiffnb.shaping.scatter_numpy
    t = Tensor(np.ones((1024, 3)))
    y = sum(np.sum(row) for row in rows_of(t))
    monkeypatch.setitem(autodiffnb.shaping.scatters, np.ndarray, lambda g, index, shape: written.append(int(np.prod(shape))) or scatter(g, index, shape))
    np.testing.assert_array_equal(gradients(y, t), np.ones((1024, 3)))
    assert sum(written) < 30 * t.size


@pytest.mark.parametrize("f", [np.sum, np.diff, np.diag, np.cumsum, np.argmax, lambda x, k=1.0: k * x[:2], lambda x: 3.0], ids=["sum", "diff", "diag", "cumsum", "argmax", "slice", "number"])
def test_along_an_axis(f):
    x = rng().normal(size=(2, 3, 4))
    for axis in (0, 1, -1): agrees(lambda x: np.apply_along_axis(f, axis, x), x)
    check_grads(lambda x: x * 1.0 if f is np.argmax else np.apply_along_axis(f, 1, x * x) + 0 * x.sum())(x)
    with pytest.raises(ValueError, match=r"expected no axis of length 0 beside axis 0, got shape \(2, 0\)"): np.apply_along_axis(f, 0, Tensor(np.ones((2, 0))))


def test_along_an_axis_with_arguments():
    x, k = rng().normal(size=(2, 3)), Tensor(2.0)
    y = np.apply_along_axis(lambda row, a, b=0.0: a * row[:2] + b, 1, Tensor(x), k, b=k)
    np.testing.assert_allclose(gradients(np.sum(y), k), x[:, :2].sum() + 4)


def test_over_axes():
    x = rng().normal(size=(2, 3, 4))
    for axes in (0, [0, 2], (-1, 1), np.array([1])):
        for f in (np.sum, np.cumsum, lambda x, axis: np.max(x, axis=axis, keepdims=True)): agrees(lambda x: np.apply_over_axes(f, x, axes), x)
    with pytest.raises(ValueError, match="func: expected results with 3 axes or one less, got 1"): np.apply_over_axes(lambda x, axis: np.ravel(x), Tensor(x), 0)


def test_trimming():
    x = np.array([0.0, 0.0, 1.0, 0.0, 2.0, 0.0])
    for trim in ("fb", "f", "b", "FB"):
        for numbers in (x, 0 * x, x[2:5], x[:0]): agrees(lambda x: np.trim_zeros(x, trim), numbers)
    assert pulled(np.trim_zeros, x, np.array([1.0, 2.0, 3.0])).tolist() == [0, 0, 1, 2, 3, 0]
    if np.lib.NumpyVersion(np.__version__) >= "2.2.0":
        table = np.pad(np.array([[1.0, 0.0], [0.0, 2.0]]), ((1, 2), (0, 1)))
        for options in ({}, {"axis": 0}, {"axis": -1, "trim": "b"}, {"axis": (0, 1), "trim": "f"}): agrees(lambda x: np.trim_zeros(x, **options), table)
    with pytest.raises(ValueError, match="trim: expected 'f', 'b' or 'fb', got 'x'"): np.trim_zeros(Tensor(x), "x")


def test_complex_order():
    agrees(np.sort_complex, np.array([2 + 1j, 1 + 3j, 1 - 1j]))
    agrees(np.sort_complex, np.array([2.0, -1.0, 1.0]))
    assert pulled(np.sort_complex, np.array([2.0, -1.0, 1.0]), np.array([1.0, 2.0, 3.0])).tolist() == [3, 1, 2]


# --- arrays made like a Tensor ------------------------------------------------------------------------------------------

def test_a_tensor_among_the_numbers_is_kept():
    a, b = Tensor(1.0), Tensor(2.0)
    for make in (np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require):
        y = make([[a, 3.0], [b, a]], like=a)
        assert y.shape == (2, 2) and gradients(np.sum(y), [a, b]) == [2.0, 1.0]
        assert make(Tensor(X4), like=a).shape == (4,)
        assert type(make([1.0, 2.0], like=a)) is np.ndarray
        assert make([a, b], dtype=np.float32, like=a).dtype == np.float32
    assert np.array(a, ndmin=2, like=a).shape == (1, 1) and np.ascontiguousarray(a, like=a).shape == (1,)
    assert np.array([1, 2], ndmin=2, like=a).shape == (1, 2)
    assert gradients(np.sum(np.full((2, 3), a, like=a)), a) == 6.0 and type(np.full(2, 1.0, like=a)) is np.ndarray
    assert gradients(np.sum(np.fromiter([a, b, a], float, like=a)), a) == 2.0
    assert np.fromiter(iter([a, b, a]), float, 2, like=a).shape == (2,) and np.fromiter([1, 2], int, like=a).dtype == int


def test_a_range_of_tensors_moves_with_its_ends():
    start, step = Tensor(1.0), Tensor(0.5)
    y = np.arange(start, 3.2, step, like=start)
    np.testing.assert_allclose(y.value, np.arange(1.0, 3.2, 0.5))
    assert gradients(np.sum(y), [start, step]) == [5.0, 10.0]
    assert type(np.arange(3, like=start)) is np.ndarray and np.arange(3, dtype=np.float32, like=start).dtype == np.float32
    with pytest.raises(TypeError, match="dtype= has no rule beside a Tensor"): np.arange(start, 3.0, dtype=float, like=start)


# --- what is left -----------------------------------------------------------------------------------------------------

def test_reasons_for_refusing():
    t = Tensor(X4)
    for call, why in ((lambda: np.save("unused", t), "a file holds plain numbers"), (lambda: np.char.equal(t, t), "for strings"), (lambda: np.can_cast(t, float), "pass t.dtype"),
                      (lambda: np.loadtxt("unused", like=t), "leave out like="), (lambda: np.packbits(t), "bits"), (lambda: np.lib.recfunctions.repack_fields(t), "records")):
        with pytest.raises(TypeError, match=rf"of a Tensor: .*{why}"): call()


def test_nothing_with_numbers_is_left_unsaid():
    "Every NumPy function that can be overridden has a rule or an entry, is a constant, or is refused with a reason."
    from test_rules import KINDS, name_of
    silent = [name_of(fn) for fn in KINDS["refused"] if fn not in refusals and not isinstance(fn, np.ufunc)]
    assert not silent


def test_a_recorded_chain_holds_no_more_nodes_than_it_needs():
    t = Tensor(X4)
    assert len(topological_order(np.polyval(t, t))) == 2 and len(topological_order(np.convolve(t, t))) == 2
