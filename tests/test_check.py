"""What check_grads must accept and, above all, what it must not."""
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from autodiffnb.backward import stop_gradient
from autodiffnb.check import check_grads, pairing, pull, push, tree_build, tree_leaves, tree_map
from autodiffnb.tensor import Tensor, defvjp, primitive


def cube(x): return x * x * x


def square(*rules, forward=lambda x: x * x, **options):
    fn = primitive(lambda x: forward(x))    # a function of these tests, though `forward` may be NumPy's
    fn.__name__ = "square"
    defvjp(fn, *rules, **options)
    return fn


numbers = st.floats(-3, 3, width=32)
arrays = hnp.arrays(st.sampled_from([np.float64, np.float32]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), elements=numbers)


@settings(deadline=None, max_examples=25)
@given(arrays)
def test_right_rules_pass_at_every_shape(x):
    check_grads(cube)(x)
    check_grads(lambda x: [x * x, cube(x) + x], modes="vjp")(x)


@settings(deadline=None, max_examples=25)
@given(arrays.filter(lambda x: x.size), st.floats(0.1, 3), st.sampled_from([-1, 1]))
def test_a_small_mistake_fails_at_every_shape(x, off, sign):
    wrong = square(lambda g, y, x: g * (2.0 * x + sign * off))
    with pytest.raises(AssertionError, match=r"order 1, mode vjp, argument 0, (index \(|random direction)"):
        check_grads(wrong)(x)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders(order): check_grads(cube, order=order)(np.array([0.5, -2.0]))


@pytest.mark.parametrize("x", [2.0, np.float64(2.0), np.float32(2.0), np.array(2.0), np.array([1.0, 2.0], np.float32), 1 + 2j,
                               np.array([1 + 2j, 0.5 - 1j]), np.array([1 + 2j, 0.5 - 1j], np.complex64), np.zeros((0, 3)), Tensor([1.0, 2.0])])
def test_kinds_of_arguments(x): check_grads(cube)(x)


def test_float16_is_differenced_in_double(): check_grads(cube)(np.array([0.5, 1.5], np.float16))


def test_message_names_argument_order_mode_index_expected_and_got():
    wrong = square(lambda g, y, x: g * 2.0 * x * np.array([1.0, 1.5]))
    with pytest.raises(AssertionError) as error:
        check_grads(lambda a, p: a + wrong(p["w"]))(np.ones(2), {"w": np.array([1.0, 3.0])})
    for text in ("order 1", "mode vjp", "argument 1['w']", "index (1,)", "expected", "got", "differences"): assert text in str(error.value)


@pytest.mark.parametrize("x", [np.array([1.0, 3.0]), np.array([1 + 1j, 2.0]), np.linspace(1, 2, 100), np.array([1.0, 3.0], np.float32)])
@pytest.mark.parametrize("modes", ["vjp", "jvp", ("vjp", "jvp")])
def test_first_order_mistakes(x, modes):
    for rule in (lambda g, y, x: g * x, lambda g, y, x: g * -2.0 * x, lambda g, y, x: g * 2.001 * x + 0.05 * g, lambda g, y, x: 0.0 * g):
        with pytest.raises(AssertionError, match="order 1"): check_grads(square(rule), modes=modes)(x)


@pytest.mark.parametrize("modes", ["vjp", "jvp"])
def test_a_lost_history_is_a_second_order_mistake(modes):
    wrong = square(lambda g, y, x: g * (2 * stop_gradient(x)))
    check_grads(wrong, order=1, modes=modes)(np.ones(3))
    with pytest.raises(AssertionError, match="order 2"): check_grads(wrong, modes=modes)(np.ones(3))


def test_a_mistake_in_the_rule_of_the_rule():
    double = square(lambda g, y, x: g * 2.1, forward=lambda x: 2.0 * x)
    wrong = square(lambda g, y, x: g * double(x))
    check_grads(wrong, order=1)(np.ones(3))
    with pytest.raises(AssertionError, match="order 2"): check_grads(wrong)(np.ones(3))


def test_a_missing_rule_of_the_adjoint_is_seen_by_jvp_alone():
    two_texts = square(lambda g, y, x: g * 2.0 * x if isinstance(x, np.ndarray) else g * x)
    check_grads(two_texts, order=1, modes="vjp")(np.ones(2))
    with pytest.raises(AssertionError, match="mode jvp"): check_grads(two_texts, order=1, modes="jvp")(np.ones(2))


def test_linear_in_the_adjoint():
    with pytest.raises(AssertionError): check_grads(square(lambda g, y, x: abs(g) * 2.0 * x), order=1)(np.array([1.0, 2.0, 3.0]))


def test_complex_convention_has_no_conjugate():
    check_grads(square(lambda g, y, z: g * 2.0 * z))(1 + 2j)
    with pytest.raises(AssertionError, match="1j|index"): check_grads(square(lambda g, y, z: g * 2.0 * np.conj(z)), order=1)(1 + 2j)


def test_complex_function_that_is_not_holomorphic():
    norm = square(lambda g, y, z: g * 2.0 * np.conj(z), forward=lambda z: (z * np.conj(z)).real)
    check_grads(norm, order=1, modes="vjp")(np.array([1 + 2j, 3 - 1j]))
    with pytest.raises(AssertionError): check_grads(square(lambda g, y, z: g * 2.0 * z, forward=norm.fn), order=1, modes="vjp")(np.array([1 + 2j]))


def writes_to_argument(g, y, x): x *= 2; return g * x
def writes_to_adjoint(g, y, x): g *= 2; return g * x
def writes_to_result(g, y, x): y += 1; return g * 2.0 * x


@pytest.mark.parametrize("rule, what", [(writes_to_argument, "argument 0 was written to"), (writes_to_adjoint, "adjoint g of output 0 was written to"),
                                        (writes_to_result, "the value of square.* was written to")])
@pytest.mark.parametrize("x", [np.array(3.0), np.array([1.0, 3.0])])
def test_writing_is_caught(rule, what, x):
    if x.ndim == 0 and rule is writes_to_result: pytest.skip("a NumPy scalar can't be written to")
    with pytest.raises(AssertionError, match=what): check_grads(square(rule))(x.copy())


def test_writing_to_an_intermediate_value_is_caught():
    wrong = square(writes_to_argument)
    with pytest.raises(AssertionError, match="the value of multiply"): check_grads(lambda x: wrong(x * 2))(np.array([1.0, 3.0]))


def test_a_function_that_writes_to_its_argument_is_caught():
    def forward(x): x *= 2; return x * x
    with pytest.raises(AssertionError, match=r"calling the function: argument 0 was written to; index \(0,\)"):
        check_grads(square(lambda g, y, x: g * 2.0 * x, forward=forward))(np.array([1.0, 3.0]))


def test_a_wrong_shape_is_an_assertion():
    with pytest.raises(AssertionError, match=r"shape \(1, 2\)"): check_grads(square(lambda g, y, x: (g * 2.0 * x)[None], broadcasts=False))(np.ones(2))


def test_an_error_in_a_rule_is_reported_with_its_place():
    with pytest.raises(AssertionError, match="order 1, mode vjp: ZeroDivisionError"): check_grads(square(lambda g, y, x: 1 / 0))(np.ones(2))


def test_an_error_of_the_function_itself_passes_through():
    with pytest.raises(ZeroDivisionError): check_grads(lambda x: 1 / 0)(1.0)


def test_constant_declared_but_not_constant():
    scale = primitive(lambda x, s: x * s)
    defvjp(scale, lambda g, y, x, s: g * s, None)
    check_grads(scale, argnums=0)(np.ones(3), 2.0)
    with pytest.raises(AssertionError, match="argument 1"): check_grads(scale)(np.ones(3), 2.0)


def test_trees_integers_and_constants():
    Pair = namedtuple("Pair", "a b")

    @dataclass
    class Layer:
        w: np.ndarray
        scale: float
        both: object = field(init=False)
        def __post_init__(self): self.both = self.w * self.scale

    def f(layer, pair, count, word): return {"out": [layer.both * count, None], "pair": pair.a["x"] * pair.b, "count": count, "constant": 2.0}
    check_grads(f)(Layer(np.ones((2, 1)), 3.0), Pair({"x": np.ones(2, np.float32)}, 2), 3, "word")


def test_argnums():
    f = lambda a, b: a * b
    wrong = lambda a, b: square(lambda g, y, x: g * x)(b) + a
    check_grads(wrong, argnums=0)(1.0, 2.0)
    for chosen in (1, -1, (0, 1), [1]):
        with pytest.raises(AssertionError, match="argument 1"): check_grads(wrong, argnums=chosen)(1.0, 2.0)
    check_grads(f, argnums=(0, 1))(2, 3)   # integers become floating when asked for
    with pytest.raises(ValueError, match="argnums.* got 2"): check_grads(f, argnums=2)(1.0, 2.0)
    for chosen in (1.0, "a", [0, 0.5]):
        with pytest.raises(TypeError, match="argnums: expected"): check_grads(f, argnums=chosen)(1.0, 2.0)


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", ">c16"])
def test_any_byte_order(dtype):
    x = np.array([1.0, 2.0, 3.0]).astype(dtype)
    for argnums in (None, 0):
        check_grads(cube, argnums)(x)
        check_grads(lambda x: {"sum": np.sum(x)}, argnums)(x)
        with pytest.raises(AssertionError, match="expected"): check_grads(square(lambda g, y, x: g * x), argnums)(x)


def test_errors_of_use():
    for f in (3, None, "f"):
        with pytest.raises(TypeError, match="check_grads: f: expected a function"): check_grads(f)
    with pytest.raises(ValueError, match="order"): check_grads(cube, order=0)
    with pytest.raises(ValueError, match="modes.*got"): check_grads(cube, modes=("forward",))
    with pytest.raises(ValueError, match="modes"): check_grads(cube, modes=())
    with pytest.raises(TypeError, match="floating-point argument"): check_grads(cube)(3)
    with pytest.raises(TypeError, match="floating-point result"): check_grads(lambda x: 3)(3.0)


def test_a_derivative_where_there_is_none_fails():
    kink = square(lambda g, y, x: g * np.sign(x), forward=abs)
    check_grads(kink, order=1, modes="vjp")(np.array([1e-7, -1.0]))      # a kink nearby: a shorter step sees past it
    step = square(lambda g, y, x: g * 1.0, forward=np.floor)
    with pytest.raises(AssertionError, match="index"): check_grads(step, order=1, modes="vjp")(np.array([2.0]))


def test_not_a_number_is_never_equal():
    with pytest.raises(AssertionError, match="nan"): check_grads(square(lambda g, y, x: g * np.nan))(np.ones(2))


def test_the_same_check_twice_says_the_same():
    wrong, messages = square(lambda g, y, x: g * x), set()
    for _ in range(2):
        with pytest.raises(AssertionError) as error: check_grads(wrong)(np.linspace(1, 2, 200))
        messages.add(str(error.value))
    assert len(messages) == 1


@settings(deadline=None, max_examples=25)
@given(hnp.arrays(np.float64, (3,), elements=numbers), hnp.arrays(np.float64, (3, 3), elements=numbers))
def test_push_and_pull_are_transposes(a, vgw):
    v, g, w = vgw
    xs = [Tensor(a), Tensor(w)]
    ys = [xs[0] * xs[1], xs[1] * xs[1] + xs[0]]
    assert np.allclose(push(ys, xs, [v, g])[0], v * w + a * g) and np.allclose(push(ys, xs, [v, g])[1], 2 * w * g + v)
    assert np.isclose(pairing([g, v], push(ys, xs, [v, g])), pairing(pull(ys, xs, [g, v]), [v, g]))


def test_tree_helpers():
    Pair = namedtuple("Pair", "a b")
    tree = OrderedDict(x=[1.0, (2.0, None)], y=Pair(3.0, {"z": 4.0}))
    assert tree_leaves(tree, "t") == {"t['x'][0]": 1.0, "t['x'][1][0]": 2.0, "t['y'].a": 3.0, "t['y'].b['z']": 4.0}
    again = tree_build(tree, tree_leaves(tree).values())
    assert again == tree and type(again) is OrderedDict and type(again["y"]) is Pair
    assert tree_map(lambda x: -x, tree)["y"].b == {"z": -4.0} and tree_map(str, 1) == "1" and tree_map(str, None) is None


@pytest.mark.parametrize("argnums", [np.array([0.1, 0.2]), (np.ones(2),), 0.5, Tensor(1.0)])
def test_arguments_in_the_place_of_argnums_are_refused(argnums):
    with pytest.raises(TypeError, match=r"argnums: .*check_grads\(f\)\(x\)"): check_grads(cube, argnums)
