"""The score network: its initial score, and the curvature that its training needs."""

import pytest
import torch

from sk_mige.networks import ScoreNetwork


def network(n_directions, generator):
    net = ScoreNetwork(4, (16,), n_directions).double()
    for part in net.parameters():
        torch.nn.init.normal_(part, std=0.4, generator=generator)
    return net


def test_it_starts_from_the_standard_gaussian(generator):
    x = torch.randn(5, 4, generator=generator)
    with torch.random.fork_rng():
        out = ScoreNetwork(4)(x)
    torch.testing.assert_close(out.score, -x)
    torch.testing.assert_close(out.curvature, torch.full((5,), -4.0))  # v'(-I)v of signs v


@pytest.mark.parametrize("n_directions", [1, 3])
def test_curvature_is_the_jacobians_quadratic_form_along_random_signs(n_directions, generator):
    net = network(n_directions, generator)
    x = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(1)
        curvature = net(x).curvature
        torch.random.default_generator.manual_seed(1)
        signs = [torch.randint(0, 2, x.shape).double() * 2 - 1 for _ in range(n_directions)]
    jacobian = torch.func.vmap(torch.func.jacrev(net.score))(x)
    expected = [torch.einsum("ni,nij,nj->n", v, jacobian, v) for v in signs]
    torch.testing.assert_close(curvature, torch.stack(expected).mean(0))


def test_curvature_is_differentiable_in_the_weights(generator):
    net = network(1, generator)
    x = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    weight = net.body[0].weight

    def curvature(values):
        with torch.random.fork_rng():
            torch.random.default_generator.manual_seed(1)
            out = torch.func.functional_call(net, {"body.0.weight": values}, (x,))
        return out.curvature

    assert torch.autograd.gradcheck(curvature, weight.detach().clone().requires_grad_())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_curvature_needs_no_gradients_of_the_caller(context, generator):
    net = network(1, generator)
    x = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(1)
        expected = net(x).curvature
        torch.random.default_generator.manual_seed(1)
        with context():
            torch.testing.assert_close(net(1 * x).curvature, expected.detach())
