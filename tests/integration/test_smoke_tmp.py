"""x"""
from tests.integration.families import *
from tests.integration.serving import *
def test_x(server):
    x = rows(3.0, 2)
    np.testing.assert_allclose(output(server.infer(a_request("echo", x))), expected_echo(x), rtol=1e-5)
    np.testing.assert_allclose(output(server.infer(a_request("mlp", x))), expected_mlp(x), rtol=1e-5)
    print(server.infer(a_request("mlp", x)))
    print(server.log)
