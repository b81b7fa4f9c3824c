def test_placeholder(host):
    assert host
