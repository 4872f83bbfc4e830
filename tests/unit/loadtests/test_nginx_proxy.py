from loadtests.nginx_proxy import configuration


def test_one_port_and_kept_upstreams_for_each_function():
    text = configuration(
        {"node-hello": 5001, "aes": 5002}, {"node-hello": 1, "aes": 2}, workers="1"
    )
    assert text.count("keepalive 128;") == 2
    assert "upstream node_hello {\n        server 127.0.0.1:5001;" in text
    assert "listen 127.0.0.1:2;" in text
    assert "proxy_pass http://aes;" in text
    assert "worker_processes 1;" in text
    assert text.count("{") == text.count("}")
