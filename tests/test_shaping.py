"""Moving numbers: every function and every kind of index, against NumPy's values and against differences of first and second order."""
import dask.array as da
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.lib.stride_tricks import sliding_window_view

import autodiffnb.shaping
from autodiffnb import Tensor, at, compile, grad, gradients
from autodiffnb.check import check_grads
from autodiffnb.shaping import inverse_permutation, names_once, rounds, scatter_add, scatter_by_asking, scatters, survivors

quick = settings(max_examples=40, deadline=None)
X = np.arange(24.0).reshape(2, 3, 4) / 7 + 0.3
ROW, SQUARE = X[0, 0], X[0, :, :3]


def same(got, expected):
    "Equal in shape, dtype and value, also in lists and tuples"
    if isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for g, e in zip(got, expected): same(g, e)
        return
    assert isinstance(got, Tensor)
    assert np.shape(got.value) == np.shape(expected) and got.dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(got.value, expected)


def check_move(f, *arrays):
    "The value of `f` is NumPy's, in double and single precision, and its first and second derivatives are right"
    same(f(*map(Tensor, arrays)), f(*arrays))
    single = [a.astype(np.float32) for a in arrays]
    same(f(*map(Tensor, single)), f(*single))
    def squared(*ts):
        y = f(*[t * t for t in ts])
        return [p * p for p in y] if isinstance(y, (list, tuple)) else y * y
    check_grads(squared, order=2)(*arrays)


MOVES = {
    "transpose": lambda x: np.transpose(x), "transpose axes": lambda x: np.transpose(x, (2, 0, 1)), "transpose negative": lambda x: np.transpose(x, [-1, 0, -2]),
    "permute_dims": lambda x: np.permute_dims(x, (1, 2, 0)), "T": lambda x: x.T, "mT": lambda x: x.mT, "matrix_transpose": np.matrix_transpose,
    "transpose method": lambda x: x.transpose(2, 0, 1), "transpose method tuple": lambda x: x.transpose((2, 0, 1)), "transpose method none": lambda x: x.transpose(),
    "swapaxes": lambda x: np.swapaxes(x, 0, -1), "swapaxes method": lambda x: x.swapaxes(0, 1), "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "moveaxis several": lambda x: np.moveaxis(x, [0, 1], [-1, 0]), "rollaxis": lambda x: np.rollaxis(x, 2),
    "ravel": lambda x: np.ravel(x), "ravel F": lambda x: np.ravel(x, "F"), "flatten": lambda x: x.flatten(), "ravel method": lambda x: x.ravel(),
    "expand_dims": lambda x: np.expand_dims(x, 1), "expand_dims several": lambda x: np.expand_dims(x, (0, -1)),
    "squeeze": lambda x: np.squeeze(x[:1]), "squeeze axis": lambda x: x[:, :1, :1].squeeze(1), "squeeze axes": lambda x: np.squeeze(x[:1, :1], (0, 1)),
    "atleast_3d": lambda x: np.atleast_3d(x[0]), "atleast_2d": lambda x: np.atleast_2d(x[0, 0]), "atleast_1d": lambda x: np.atleast_1d(x[0, 0, 0]),
    "concatenate": lambda x: np.concatenate([x, x[:, :1]], axis=1), "concatenate none": lambda x: np.concatenate([x, x[0]], axis=None),
    "concat negative": lambda x: np.concat([x, 2 * x], axis=-1), "concatenate constant": lambda x: np.concatenate([np.ones((2, 1, 4), np.float32), x], 1),
    "stack": lambda x: np.stack([x, 2 * x], axis=1), "stack last": lambda x: np.stack([x, x[::-1]], -1), "stack numbers": lambda x: np.stack([x[0, 0, 0], x[1, 2, 3]]),
    "vstack": lambda x: np.vstack([x[0], x[0, 0]]), "hstack": lambda x: np.hstack([x[0], x[1]]), "hstack rows": lambda x: np.hstack([x[0, 0], x[1, 1]]),
    "dstack": lambda x: np.dstack([x[0], x[1]]), "column_stack": lambda x: np.column_stack([x[0, 0], x[0].T]), "append": lambda x: np.append(x, x[:1], 0),
    "append flat": lambda x: np.append(x, x[0]), "broadcast_arrays": lambda x: np.broadcast_arrays(x, x[0, 0])[1],
    "split": lambda x: np.split(x, 2, axis=2), "split at": lambda x: np.split(x, [1, 3], -1), "split empty": lambda x: np.split(x, [0, 2, 2], 1),
    "split unsorted": lambda x: np.split(x, [3, 1], 2), "array_split": lambda x: np.array_split(x, 3, 2), "hsplit": lambda x: np.hsplit(x, 3), "vsplit": lambda x: np.vsplit(x, 2),
    "dsplit": lambda x: np.dsplit(x, [1]), "hsplit row": lambda x: np.hsplit(x[0, 0], 2),
    "flip": lambda x: np.flip(x), "flip axis": lambda x: np.flip(x, -1), "flip axes": lambda x: np.flip(x, (0, 2)), "flipud": np.flipud, "fliplr": np.fliplr,
    "roll": lambda x: np.roll(x, 2), "roll axis": lambda x: np.roll(x, -1, axis=1), "roll axes": lambda x: np.roll(x, (1, 2), axis=(0, 2)), "rot90": lambda x: np.rot90(x, 3),
    "repeat": lambda x: np.repeat(x, 2), "repeat axis": lambda x: x.repeat([2, 0, 1], axis=1), "tile": lambda x: np.tile(x, (2, 1)), "resize": lambda x: np.resize(x, (5, 7)),
    "delete": lambda x: np.delete(x, [0, 2], axis=2), "window": lambda x: sliding_window_view(x, 2, axis=1),
    "diagonal": lambda x: np.diagonal(x, 1, 1, 2), "diagonal method": lambda x: x.diagonal(), "trace": lambda x: np.trace(x), "trace method": lambda x: x.trace(1, 1, 2),
    "diag of matrix": lambda x: np.diag(x[0], -1), "diag of row": lambda x: np.diag(x[0, 0], 2), "diag below": lambda x: np.diag(x[0, 0], -1), "diagflat": lambda x: np.diagflat(x[0, :2]),
    "tril": lambda x: np.tril(x), "triu": lambda x: np.triu(x, 1), "tril row": lambda x: np.tril(x[0, 0]), "triu row": lambda x: np.triu(x[0, 0], 1),
    "pad": lambda x: np.pad(x, 1), "pad pairs": lambda x: np.pad(x, ((1, 0), (0, 2), (0, 0))), "pad constant": lambda x: np.pad(x, (0, 2), constant_values=5.0),
    "pad edge": lambda x: np.pad(x, 2, mode="edge"), "pad reflect": lambda x: np.pad(x, 1, mode="reflect"), "pad wrap": lambda x: np.pad(x, 1, mode="wrap"),
    "pad symmetric": lambda x: np.pad(x, ((0, 0), (1, 1), (2, 2)), mode="symmetric"),
    **{f"pad {mode}": lambda x, mode=mode, how=how: np.pad(x, ((1, 2), (0, 1), (3, 0)), mode, **how) for mode, how in (
        ("linear_ramp", dict(end_values=((1.0, 2.0), (0.0, 3.0), (0.5, 4.0)))), ("maximum", {}), ("minimum", dict(stat_length=2)), ("mean", dict(stat_length=((1, 2), (2, 1), (9, 3)))), ("median", {}))},
    "pad ramp": lambda x: np.pad(x, 2, "linear_ramp"), "pad reflect odd": lambda x: np.pad(x, ((1, 0), (2, 1), (0, 3)), "reflect", reflect_type="odd"), "pad symmetric odd": lambda x: np.pad(x, 2, "symmetric", reflect_type="odd"),
    **({"pad dict": lambda x: np.pad(x, {-1: (1, 2), 0: 1}), "pad dict mean": lambda x: np.pad(x, {1: 2}, "maximum")} if np.lib.NumpyVersion(np.__version__) >= "2.2.0" else {}),
    "take wrap": lambda x: np.take(x, [5, -31, 55], mode="wrap"), "take clip": lambda x: np.take(x, [-2, 9], 1, None, "clip"), "compress method": lambda x: x.compress([False, True, True], axis=1),
    "take booleans": lambda x: np.take(x, np.array([True, False, True])), "take none": lambda x: np.take(x, np.zeros((0, 2), int), axis=1), "take of a number": lambda x: np.take(x[0, 0, 0], [0, -1, 0], axis=-1), "compress a number": lambda x: np.compress([True], x[0, 0, 0], axis=0), "resize none": lambda x: np.resize(x[:0], (2, 3)) + x[0, 0, 0],
    "column_stack numbers": lambda x: np.column_stack([x[0, 0, 0], x[0, 0, 1]]), "sort kind": lambda x: np.sort(-x, 1, "stable"), "select mixed": lambda x: np.select([X < 1, X < 2], [x, 1]), "concatenate dtype": lambda x: np.concatenate([x, x], 1, dtype=np.float64, casting="same_kind"),
    "take": lambda x: np.take(x, [5, 0, 5]), "take axis": lambda x: np.take(x, [[2, 0], [2, 2]], axis=1), "take one": lambda x: np.take(x, 2, axis=-1), "take method": lambda x: x.take([1, 1], 0),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[[0], [2], [2]]]), axis=2), "take_along_axis none": lambda x: np.take_along_axis(x, np.array([3, 3, 1]), None),
    "compress": lambda x: np.compress([True, False, True], x, axis=1), "extract": lambda x: np.extract(X > 1, x),
    "sort": lambda x: np.sort(x[:, ::-1], axis=1), "sort flat": lambda x: np.sort(-x, None), "partition": lambda x: np.partition(-x, 2, axis=-1),
    "diff": lambda x: np.diff(x), "diff twice": lambda x: np.diff(x * x, 2, axis=1), "copy": lambda x: np.copy(x), "copy method": lambda x: x.copy(),
    "clip": lambda x: np.clip(x, 0.6, 2.55), "clip method": lambda x: x.clip(0.61), "clip above": lambda x: x.clip(max=2.55),
    **({"clip keywords": lambda x: np.clip(x, max=2.55)} if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else {}),
    "select": lambda x: np.select([X < 1, X < 2], [x, 2 * x], 0), "zeros_like": lambda x: x + np.zeros_like(x), "ones_like": lambda x: x * np.ones_like(x),
    "full_like": lambda x: np.full_like(x, x[0, 0, 1]), "full_like constant": lambda x: x * np.full_like(x, 3), "like": lambda x: x * np.arange(4, like=x).astype(x.dtype),
    "iterate": lambda x: [row for row in x], "methods": lambda x: x.reshape(3, 2, -1).T.flatten(),
}


@pytest.mark.parametrize("name", MOVES)
def test_move(name): check_move(MOVES[name], X)


@quick
@given(data=st.data())
def test_transpose_of_any_rank(data):
    x = np.arange(float(np.prod(shape := data.draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=3))))).reshape(shape)
    axes = data.draw(st.permutations(range(len(shape))))
    check_move(lambda t: np.transpose(t, axes), x)
    assert np.transpose(x.transpose(axes), inverse_permutation(tuple(axes))).shape == shape


@quick
@given(data=st.data())
def test_join_of_any_shapes(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3))
    axis, lengths = data.draw(st.integers(-len(shape), len(shape) - 1)), data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    arrays = []
    for k, n in enumerate(lengths):
        s = list(shape); s[axis] = n
        arrays.append(np.random.default_rng(k).normal(size=s))
    check_move(lambda *ts: np.concatenate(ts, axis=axis), *arrays)
    check_move(lambda *ts: np.stack(ts, axis=axis), *[arrays[0]] * len(arrays))


def indices(shape):
    "Any index that NumPy accepts: basic with None and Ellipsis, of arrays, of masks, and mixtures"
    basic = hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)
    mask = hnp.arrays(bool, shape)
    if 0 in shape or not shape: return basic | mask
    fancy = hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3))
    first = st.lists(st.integers(-shape[0], shape[0] - 1), max_size=4).map(lambda i: np.array(i, int))
    last = st.lists(st.integers(-shape[-1], shape[-1] - 1), max_size=4).map(lambda i: (..., np.array(i, int)))
    rows = hnp.arrays(bool, shape[:1])
    mixed = [first, last, rows, rows.map(lambda m: (m, ...)), st.tuples(first, st.none())]
    if len(shape) > 1: mixed += [st.tuples(st.integers(0, shape[0] - 1), st.just(slice(None, None, -1))),
                                 st.tuples(st.slices(shape[0]), st.lists(st.integers(0, shape[1] - 1), min_size=1, max_size=3)),
                                 st.tuples(rows, st.integers(0, shape[1] - 1)), st.tuples(st.none(), first, st.slices(shape[1]))]
    return st.one_of(basic, mask, fancy, *mixed)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_every_kind_of_index(data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    x, index = np.random.default_rng(0).normal(size=shape), data.draw(indices(shape))
    t = Tensor(x)
    same(t[index], x[index])
    g = np.random.default_rng(1).normal(size=x[index].shape)
    expected = np.zeros(shape)
    np.add.at(expected, index, g)
    np.testing.assert_allclose(gradients(t[index], t, g), expected, rtol=1e-12, atol=1e-12)
    check_grads(lambda t: (t * t)[index], order=2)(x)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_scatter_without_writing(data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    g = np.random.default_rng(0).normal(size=np.zeros(shape)[index].shape)
    np.testing.assert_array_equal(scatter_by_asking(g, index, shape), scatter_add(g, index, shape))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_at_changes_what_numpy_would(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    index, rng = data.draw(indices(shape)), np.random.default_rng(0)
    x = rng.permutation(np.arange(1.0, 1 + np.prod(shape))).reshape(shape)
    v = rng.permutation(0.55 + np.arange(x[index].size)).reshape(x[index].shape)
    for name, ufunc in dict(add=np.add, subtract=np.subtract, multiply=np.multiply, divide=np.divide, min=np.minimum, max=np.maximum).items():
        expected = x.copy()
        ufunc.at(expected, index, v)
        y = getattr(Tensor(x).at[index], name)(Tensor(v))
        assert y.shape == shape
        np.testing.assert_allclose(y.value, expected, rtol=1e-12)
    expected = x.copy()
    expected[index] = v
    same(Tensor(x).at[index].set(Tensor(v)), expected)
    same(Tensor(x).at[index].get(), x[index])


@pytest.mark.exhaustive
@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", ["set", "add", "multiply", "divide", "min", "max"])
def test_derivatives_of_at(name, data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=3))
    index, rng = data.draw(indices(shape)), np.random.default_rng(0)
    x = rng.permutation(np.arange(1.0, 1 + np.prod(shape))).reshape(shape)
    v = rng.permutation(0.55 + np.arange(x[index].size)).reshape(x[index].shape)
    check_grads(lambda x, v: getattr((x * x).at[index], name)(v * v), order=2)(x, v)


def test_the_last_write_wins_and_is_the_only_one_with_a_derivative():
    x, v, index = Tensor(np.zeros(3)), Tensor([1.0, 2.0, 3.0, 4.0]), np.array([0, 2, 0, 0])
    y = x.at[index].set(v)
    np.testing.assert_array_equal(y.value, [4, 0, 2])
    gx, gv = gradients(y, [x, v], np.array([10.0, 20.0, 30.0]))
    np.testing.assert_array_equal(gx, [0, 20, 0])
    np.testing.assert_array_equal(gv, [0, 30, 0, 10])


@quick
@given(index=hnp.arrays(np.int64, hnp.array_shapes(max_dims=3, max_side=6), elements=st.integers(0, 4)), transposed=st.booleans(), single=st.booleans())
def test_survivors_are_those_whose_value_is_there(index, transposed, single):
    if transposed: index = index.T
    v = np.arange(1.0, 1 + index.size).reshape(index.shape).astype(np.float32 if single else float)
    if transposed: v = np.asfortranarray(v)
    y = Tensor(np.zeros(5)).at[index].set(v).value
    np.testing.assert_array_equal(survivors(index, (5,)), y[index] == v)


def test_at_broadcasts_and_casts_the_value():
    x = Tensor(np.zeros((2, 3), np.float32))
    for v in (2, 2.0, np.float64(2), [2, 2, 2], np.full((2, 1), 2.0), Tensor(2.0), Tensor(np.full(3, 2.0))):
        for name in ("set", "add"):
            y = getattr(x.at[:, :], name)(v)
            assert y.dtype == np.float32 and (y.value == 2).all()
    v = Tensor(2.0)
    assert gradients(x.at[0].set(v).sum(), v) == 3.0
    assert x.value.max() == 0
    with pytest.raises(TypeError, match="v: expected real"): x.at[0].set(1j)
    with pytest.raises(ValueError, match=r"v: expected a shape that broadcasts to \(3,\), that of the place; got \(4,\)"): x.at[0].set(np.zeros(4))
    with pytest.raises(TypeError, match="index: expected .* got a Tensor"): x.at[v].set(0)
    with pytest.raises(IndexError): x.at[5].set(0)


@pytest.mark.parametrize("name, expected", [("set", [1.0, 4.0, 2.0]), ("add", [1.0, 6.0, 5.0]), ("subtract", [1.0, -2.0, 1.0]), ("multiply", [1.0, 8.0, 6.0]), ("divide", [1.0, 0.5, 1.5]),
                                            ("power", [1.0, 16.0, 9.0]), ("min", [1.0, 2.0, 2.0]), ("max", [1.0, 4.0, 3.0])])
def test_at_takes_plain_arrays_too(name, expected):
    x, v = np.array([1.0, 2.0, 3.0]), np.array([4.0, 2.0])
    for index in ([1, 2], slice(1, None)):
        y = getattr(at(x)[index], name)(v)
        assert isinstance(y, np.ndarray) and np.allclose(y, expected, rtol=1e-15)
        same(getattr(at(x)[index], name)(Tensor(v)), y)
        same(getattr(at(Tensor(x))[index], name)(v), y)
        check_grads(lambda v: getattr(at(x)[index], name)(v), order=2)(v)
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_a_loop_may_fill_a_buffer():
    "What is written with `at` is one function for arrays and for Tensors, and its gradient is a plain array."
    def filled(x):
        y = np.zeros((3, 3))
        for i in range(3):
            for j in range(i + 1): y = at(y)[i, j].set(x[i] * x[j])
        return y
    x = np.array([1.0, -2.0, 0.5])
    loss = lambda x: np.sum(filled(x) ** 2)
    assert type(filled(x)) is np.ndarray and np.array_equal(filled(x), np.tril(np.outer(x, x)))
    d = grad(loss)(x)
    assert type(d) is np.ndarray and np.allclose(d, [2 * x[i] * (x[i] ** 2 + x @ x) for i in range(3)])
    replayed = compile(grad(loss))
    assert all(np.array_equal(replayed(x), d) for _ in range(3))


def test_at_never_truncates():
    "A buffer of integers becomes floating, as every leaf does: written as integers, a Tensor would have no derivative."
    v = Tensor(2.5)
    for x in (np.zeros(3, int), [0, 0, 0], np.zeros(3, bool)):
        y = at(x)[1].set(v)
        assert y.value.tolist() == [0.0, 2.5, 0.0] and gradients(y.sum(), v) == 1.0
    assert at(np.zeros(3, np.float32))[1].set(v).dtype == np.float32 and at(3.0)[...].set(v).shape == ()
    with pytest.raises(TypeError, match="v: expected real numbers for an array of float64"): at(np.zeros(3))[0].set(1j * v)
    with pytest.raises(TypeError, match="MaskedArray"): at(np.ma.zeros(3))
    with pytest.raises(TypeError, match="index: expected .* got a Tensor"): at(np.zeros(3))[v]


@pytest.mark.parametrize("shape", [(), (2,), (2, 2)])
@pytest.mark.parametrize("name, mode", [("constant_values", "constant"), ("end_values", "linear_ramp")])
def test_padding_with_a_tensor(shape, name, mode):
    a, v = np.arange(6.0).reshape(2, 3) + 0.3, np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    for f in (lambda a, v: np.pad(a, ((1, 2), (0, 3)), mode, **{name: v * v}), lambda a, v: np.pad(a, 1, mode, **{name: ((v.max(), 1.0), (2, v.min()))})):
        y = f(Tensor(a), Tensor(v))
        assert y.shape == f(a, v).shape and y.dtype == a.dtype
        np.testing.assert_allclose(y.value, f(a, v), rtol=1e-14)
        check_grads(f)(a, v)


@quick
@given(place=hnp.arrays(np.int64, st.integers(0, 12), elements=st.integers(0, 3)))
def test_rounds_name_every_write_once_and_in_order(place):
    turns = list(rounds(place, (4,)))
    assert sorted(k for _, here in turns for k in here) == list(range(len(place)))
    for there, here in turns: assert len(set(there)) == len(there) and (place[here] == there).all()
    assert len(turns) == max(np.bincount(place), default=0)


def test_names_once():
    assert names_once((0, slice(None), None, ..., np.int64(2))) and names_once(X > 1) and names_once((np.array([True, False]), 0))
    assert not names_once([0, 1]) and not names_once((slice(None), np.array([0, 0]))) and not names_once(np.array(1))


def test_booleans_alone_are_masks():
    t = Tensor([1.0, 2.0])
    for index in (True, False, np.True_): same(t[index], t.value[index])
    np.testing.assert_array_equal(gradients(t[True].sum(), t), [1, 1])


def test_where_takes_the_finite_branch():
    x = Tensor([0.0, 4.0])
    y = np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0)
    np.testing.assert_array_equal(gradients(y.sum(), x), [0, 0.25])


def test_products_and_sums_are_recorded_twice():
    check_grads(lambda t: np.cumprod(np.cumsum(t, axis=1), axis=-1), order=2)(X[0] - 0.3)


def test_constants_stay_plain():
    t = Tensor(X)
    for y in (np.zeros_like(t), np.ones_like(t), np.full_like(t, 2), np.empty_like(t)): assert isinstance(y, np.ndarray) and y.shape == X.shape
    assert np.full_like(t, 2, dtype=np.float32).dtype == np.float32


def test_python_numbers():
    t = Tensor(3.0)
    for f in (lambda t: np.stack([t, 2 * t]).sum(), lambda t: np.concatenate([t[None], [1.0]]).sum() * 3, lambda t: t[...] * 3, lambda t: t.reshape(1, 1).sum() * 3,
              lambda t: np.expand_dims(t, 0).squeeze() * 3, lambda t: t.at[...].set(t * 3) * 1.0, lambda t: np.atleast_2d(t).T.sum() * 3):
        assert gradients(f(t), t) == 3.0


def test_nothing_is_written_and_nothing_shared():
    x, v = X.copy(), np.ones(4)
    t = Tensor(x)
    y = t.at[0, 0].set(v)
    y.value[...] = 9
    grads = gradients((t[0] + t[0]).sum() + np.concatenate([t, t]).sum(), t)
    grads[...] = 7
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(v, np.ones(4))


@pytest.mark.parametrize("call, error, word", [
    (lambda t: t[Tensor(1.0)], TypeError, "index: "), (lambda t: t[0, Tensor([1.0])], TypeError, "index: "), (lambda t: t[9], IndexError, "out of bounds"),
    (lambda t: np.take(t, [9], mode="around"), ValueError, "mode: expected one of raise, wrap, clip, got 'around'"), (lambda t: np.take(t, [0], out=np.zeros(1)), TypeError, "out="),
    (lambda t: np.concatenate([t, t], out=np.zeros((4, 3, 4))), TypeError, "out="), (lambda t: np.stack([t], dtype=np.float32, casting="no"), TypeError, "Cannot cast"),
    (lambda t: np.concatenate([t, t], dtype=int), TypeError, "Cannot cast"), (lambda t: np.select([t > 0, t < 0], [t]), ValueError, "as many choices as conditions, and one at least; got 1 and 2"),
    (lambda t: np.stack([t, t], axis=None), TypeError, "integer"), (lambda t: np.take(t, [0.5]), TypeError, "indices: expected integers, got float64"),
    (lambda t: np.take_along_axis(t, np.ones((2, 3, 4), bool), 0), IndexError, "indices: expected integers, got bool"), (lambda t: np.diag(t), ValueError, "expected one axis or two, got 3"),
    (lambda t: np.concatenate([t, t[0]]), ValueError, "^concatenate of shapes"), (lambda t: np.stack([t, t[0]]), ValueError, "^stack of shapes"), (lambda t: np.diff(t, -1), ValueError, "n: expected 0 or more, got -1"),
    (lambda t: np.clip(t, 0, 1, out=np.zeros_like(X)), TypeError, "out="), (lambda t: np.pad(t, 1, mode="empty"), TypeError, "mode='empty' has no rule"),
    (lambda t: np.pad(t, 1, mode="mean", stat_length=-1), ValueError, "negative"), (lambda t: np.pad(t, 1, stat_length=2), ValueError, "unsupported keyword"),
    (lambda t: np.pad(t, 4, mode="reflect", reflect_type="odd"), TypeError, "up to a width of 1 here, got 4"),
    (lambda t: np.squeeze(t, 0), ValueError, "squeeze"), (lambda t: np.transpose(t, (0, 0, 1)), ValueError, "repeated"), (lambda t: np.transpose(t, (0, 1)), ValueError, "axes"),
    (lambda t: np.split(t, 5, axis=2), ValueError, "equal division"), (lambda t: np.concatenate([t, t[0]]), ValueError, "dimension"),
    (lambda t: np.trace(t, out=np.zeros(4)), TypeError, "out="), (lambda t: np.swapaxes(t, 0, 7), np.exceptions.AxisError, "axis"), (lambda t: t.__setitem__(0, 1), TypeError, "at"),
])
def test_errors(call, error, word):
    with pytest.raises(error, match=word): call(Tensor(X))


LAZY = {
    "reshape": lambda t: t.reshape(3, 2, 4), "transpose": lambda t: t.T, "moveaxis": lambda t: np.moveaxis(t, 0, 1), "broadcast_to": lambda t: np.broadcast_to(t, (3, 6, 4)),
    "concatenate": lambda t: np.concatenate([t, t * t], axis=1), "stack": lambda t: np.stack([t, t * t], axis=1), "where": lambda t: np.where(t.value > 1, t, t * t),
    "int": lambda t: t[2], "slice": lambda t: t[1:5, ::-1], "steps": lambda t: t[5:0:-2, None, ..., 1], "flip": lambda t: np.flip(t), "split": lambda t: np.split(t, 2)[1],
    "expand_dims": lambda t: np.expand_dims(t, 0), "squeeze": lambda t: t[:1].squeeze(0), "clip": lambda t: np.clip(t, 0.5, 2.5), "diff": lambda t: np.diff(t), "set": lambda t: t.at[1:3].set(t[0]),
    "astype": lambda t: t.astype(np.float32).astype(np.float64), "pad": lambda t: np.pad(t, 1),
}


@pytest.mark.parametrize("name", LAZY)
def test_dask_stays_lazy(name):
    f, x = LAZY[name], X.reshape(6, 4)
    lazy, host = Tensor(da.from_array(x, chunks=(2, 3))), Tensor(x)
    y = f(lazy)
    grad, expected = gradients((y * y).sum(), lazy), gradients((f(host) * f(host)).sum(), host)
    assert isinstance(y.value, da.Array) and isinstance(grad, da.Array)
    np.testing.assert_array_equal(y.value.compute(), f(host).value)
    np.testing.assert_allclose(grad.compute(), expected, rtol=1e-6)


@pytest.mark.parametrize("other", [np.matrix([[1.0, 2.0]]), np.ma.masked_array([[1.0, 2.0]], mask=[[1, 1]])], ids=["matrix", "masked"])
def test_what_misleads_does_not_enter_by_a_join(other):
    t = Tensor(np.array([[3.0, 4.0]]))
    for join in (np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack, np.block, lambda xs: np.append(*xs), lambda xs: np.where(xs[0].value > 3, *xs), lambda xs: xs[0].at[0].set(xs[1][0]), lambda xs: np.broadcast_arrays(*xs)):
        with pytest.raises(TypeError, match="its arithmetic is not that of an array"): join([t, other])
    with pytest.raises(TypeError, match="its arithmetic is not that of an array"): np.sum(t, where=other > 0)


def test_an_array_without_a_scatter_says_so(monkeypatch):
    monkeypatch.delitem(scatters, "dask", raising=False)
    t = Tensor(da.from_array(ROW, chunks=2))
    y = t[np.array([0, 0])]
    with pytest.raises(TypeError, match="scatters"): gradients(y.sum(), t)
