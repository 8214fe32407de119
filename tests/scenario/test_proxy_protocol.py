# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol, both versions, in and out, with HAProxy and nginx at the other end."""

import copy
import os
import socket
import ssl
import struct

import pytest

from conftest import free_port, simple, wait_for
from tcppeers import Peer, certificate, folder, peers, program, tcp  # noqa: F401
from wire import Closed, Conn, http

pytestmark = pytest.mark.sanitize

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
V1_6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"


def v2(body=None, command=0x21, family=0x11, tlvs=b""):
    if body is None:
        body = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack(">HH", 4711, 443)
    body += tlvs
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body)) + body


REQUEST = b"GET /x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def proxied(port, whoamis, **more):
    conf = simple(port, whoamis, check=False)
    conf["listeners"]["http"].update({"accept_proxy": ["127.0.0.1"], **more})
    return conf


def wire(n, what, listener="http"):
    return n.metrics()[f'holdfast_listener_{what}{{listener="{listener}"}}']


# --- in -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("header,client", [
    (V1, "192.0.2.7"), (V1_6, "2001:db8::7"), (v2(), "192.0.2.7"),
    (v2(tlvs=b"\x04\0\2xx\xea\0\0"), "192.0.2.7"),
    (v2(bytes(15) + b"\x07" + bytes(15) + b"\1" + struct.pack(">HH", 5, 6), family=0x21), "::7"),
    (v2(b"", 0x20, 0), "127.0.0.1"), (v2(b"", 0x21, 0), "127.0.0.1"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (v2(b"/run/c".ljust(108, b"\0") * 2, family=0x31), "unix"),
])
def test_the_client_is_who_the_header_says(node, whoami, header, client):
    w, port = whoami(), free_port()
    node(proxied(port, [w]))
    for pieces in (len(header) + len(REQUEST), 1):
        with Conn(port) as c:
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = header + REQUEST
            for at in range(0, len(data), pieces):
                c.send(data[at:at + pieces])
            assert f"X-Forwarded-For: {client}\r\n" in c.recv_response().text


def test_log_trust_and_routes_go_by_it(node, whoami):
    a, b, port = whoami("a"), whoami("b"), free_port()
    conf = proxied(port, [a], access_log=True)
    conf["trust"] = ["192.0.2.0/24"]
    conf["pools"]["other"] = {"servers": {"b": b.address}}
    conf["routes"]["near"] = {"client": ["192.0.2.0/24"], "to": "other"}
    n = node(conf)
    with Conn(port) as c:
        c.send(V1 + b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n")
        text = c.recv_response().text
        assert "name: b\n" in text and "X-Forwarded-For: 10.9.9.9, 192.0.2.7\r\n" in text
    n.wait_log('"client":"192.0.2.7"')
    assert wire(n, "proxy_headers_total") == 1


@pytest.mark.parametrize("data,reason", [
    (REQUEST, "does not begin with a PROXY header"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n" + REQUEST, "its ports are not two numbers"),
    (b"PROXY UNKNOWN " + b"x" * 200, "too long"),
    (v2(command=0x31), "neither 1 nor 2"),
    (v2(tlvs=b"\3\0\4abcd"), "its checksum is wrong"),
    (v2(tlvs=b"\4\0\xffx"), "cut off"),
    (SIGNATURE + b"\x21\x11\xff\xff", "longer than 4 KiB"),
    (b"PROXY TC", "no whole PROXY header came in time"),
    (b"", "no whole PROXY header came in time"),
])
def test_a_bad_header_is_refused(node, whoami, data, reason):
    w, port = whoami(), free_port()
    n = node(proxied(port, [w], timeouts={"handshake": "300ms"}))
    with pytest.raises((Closed, ConnectionError)):
        with Conn(port) as c:
            c.send(data)
            c.recv_exactly(1)
    n.wait_log(reason)
    assert wire(n, "proxy_headers_refused_total") == 1


def test_from_elsewhere_it_is_no_header(node, whoami):
    """A stranger's header is the first line of a request, and a bad one."""
    w, port = whoami(), free_port()
    conf = proxied(port, [w])
    conf["listeners"]["http"]["accept_proxy"] = ["10.0.0.0/8"]
    n = node(conf)
    assert http(port).status == 200
    with Conn(port) as c:
        c.send(V1 + REQUEST)
        assert c.recv_response().status == 400
    assert wire(n, "proxy_headers_total") == 0


def test_before_tls(node, whoami, folder):
    """What was read behind the header belongs to the handshake."""
    w, port = whoami(), free_port()
    pem = certificate(folder, "shop.test")
    node(proxied(port, [w], tls={"certificates": [{"cert": pem, "key": pem}]}))
    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
    s = ssl._create_unverified_context().wrap_bio(i, o, server_hostname="shop.test")
    with Conn(port) as c:
        said = v2()
        while True:
            try:
                s.do_handshake()
                break
            except ssl.SSLWantReadError:
                c.send(said + o.read())
                said = b""
                c.sock.settimeout(20)
                i.write(c.sock.recv(65536))
        s.write(REQUEST)
        c.send(o.read())
        got = b""
        while b"X-Forwarded-For: 192.0.2.7" not in got:
            try:
                got += s.read(65536)
            except ssl.SSLWantReadError:
                data = c.sock.recv(65536)
                assert data, got
                i.write(data)


# --- out ----------------------------------------------------------------------------------------

def first_bytes(c):
    """The whole header: with some of it unread the end of the connection would be a reset, which
    goes on to a client that may not even have seen its connection begin."""
    c.settimeout(20)
    got = b""
    while not (b"\r\n" in got and got.startswith(b"PROXY ") or
               len(got) >= 16 and len(got) >= 16 + int.from_bytes(got[14:16], "big")):
        got += c.recv(1)
    return got


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_tcp_servers_are_told(node, peers, version):
    a, port = peers(Peer, first_bytes), free_port()
    node(tcp(port, [a], send_proxy=version))
    with Conn(port) as c:
        wait_for(lambda: a.seen)
        said = a.seen[0]
        if version == "v1":
            assert said.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n"
                                   % (c.local_port, port))
        else:
            assert said == SIGNATURE + b"\x21\x11\0\x0c" + bytes([127, 0, 0, 1] * 2) + \
                struct.pack(">HH", c.local_port, port)


def test_what_came_in_goes_out(node, peers):
    """Through a chain the first proxy's word counts, both addresses of it."""
    a, port = peers(Peer, first_bytes), free_port()
    node(tcp(port, [a], send_proxy="v1", listener={"accept_proxy": ["127.0.0.0/8"]}))
    with Conn(port) as c:
        c.send(v2() + b"hello")
        wait_for(lambda: a.seen)
        assert a.seen[0].startswith(V1)


def test_http_connections_are_not_shared_by_clients(node, peers):
    heads = []

    def serve(c):
        c.settimeout(20)
        got = b""
        while b"\r\n\r\n" not in got:
            got += c.recv(1000)
        heads.append(got)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return c.recv(1000) # b"": it is not used again
    a, port = peers(Peer, serve), free_port()
    conf = simple(port, [a], check=False, send_proxy="v1")
    node(conf)
    with Conn(port) as c, Conn(port) as d:
        for x in (c, d, c):
            x.request("GET", "/")
            assert x.recv_response().status == 200
        wanted = [x.local_port for x in (c, d, c)]
    assert a.accepted == 3
    assert [int(h.split(b" ")[4]) for h in heads] == wanted
    wait_for(lambda: a.seen == [b"", b"", b""])


# --- other programs -----------------------------------------------------------------------------

def haproxy(program, folder, text):
    path = os.path.join(folder, f"ha{free_port()}.cfg")
    with open(path, "w", encoding="ascii") as f:
        f.write("defaults\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n" + text)
    return lambda port: program("haproxy", "-db", "-f", path, port=port)


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2",
                                    "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_from_haproxy(node, whoami, program, folder, option):
    w, port, front = whoami(), free_port(), free_port()
    n = node(proxied(port, [w]))
    haproxy(program, folder,
            f"listen x\n mode tcp\n bind 127.0.0.1:{front}\n unique-id-format %pid-%ts\n"
            f" source 127.0.0.1\n server s 127.0.0.1:{port} {option}\n")(front)
    with socket.socket() as s:
        s.bind(("127.0.0.9", 0))
        s.connect(("127.0.0.1", front))
        s.sendall(REQUEST)
        assert b"X-Forwarded-For: 127.0.0.9\r\n" in s.recv(65536)
    assert wire(n, "proxy_headers_refused_total") == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_to_haproxy(node, program, folder, version):
    """Over HTTP and over TCP."""
    own, port, raw = free_port(), free_port(), free_port()
    haproxy(program, folder,
            f"frontend x\n mode http\n bind 127.0.0.1:{own} accept-proxy\n"
            " http-request return status 200 content-type text/plain lf-string "
            "\"%[src]:%[src_port]>%[dst]:%[dst_port]\"\n")(own)
    conf = simple(port, [f"127.0.0.1:{own}"], check=False, send_proxy=version)
    conf["listeners"]["raw"] = {"bind": f"127.0.0.1:{raw}", "protocol": "tcp", "to": "web"}
    node(conf)
    for to in (port, raw):
        with Conn(to) as c:
            c.request("GET", "/")
            assert c.recv_response().text == f"127.0.0.1:{c.local_port}>127.0.0.1:{to}"


def nginx(program, folder, text, port):
    path = os.path.join(folder, f"nginx{port}.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write("load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\n"
                "worker_processes 1;\nmaster_process off;\n"
                f"pid {folder}/{port}.pid;\nerror_log {folder}/{port}.log;\n"
                "events { worker_connections 64; }\n" + text)
    program("nginx", "-e", f"{folder}/{port}.err", "-c", path, port=port)


def test_from_nginx(node, whoami, program, folder):
    w, port, front = whoami(), free_port(), free_port()
    node(proxied(port, [w]))
    nginx(program, folder, f"stream {{ server {{ listen 127.0.0.1:{front}; proxy_protocol on; "
          f"proxy_pass 127.0.0.1:{port}; }} }}\n", front)
    with socket.socket() as s:
        s.bind(("127.0.0.9", 0))
        s.connect(("127.0.0.1", front))
        s.sendall(REQUEST)
        assert b"X-Forwarded-For: 127.0.0.9\r\n" in s.recv(65536)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_to_nginx(node, program, folder, version):
    own, port = free_port(), free_port()
    nginx(program, folder, f"stream {{ server {{ listen 127.0.0.1:{own} proxy_protocol; "
          "return \"$proxy_protocol_addr:$proxy_protocol_port>"
          "$proxy_protocol_server_addr:$proxy_protocol_server_port\"; } }\n", own)
    node(tcp(port, {"n": f"127.0.0.1:{own}"}, send_proxy=version))
    with Conn(port) as c:
        assert c.recv_all().decode() == f"127.0.0.1:{c.local_port}>127.0.0.1:{port}"


# --- checks -------------------------------------------------------------------------------------

CHECK = {"interval": "100ms", "timeout": "5s", "rise": 1, "fall": 1}


def checked(version, pools, checks=None):
    """Pools that announce clients, each of one server: (port, check, what else the pool has)."""
    conf = simple(free_port(), ["127.0.0.1:1"], check=False)
    for name, (port, check, *more) in pools.items():
        conf["pools"][name] = {"send_proxy": version, "check": {**CHECK, **check},
                               "servers": {"s": f"127.0.0.1:{port}"},
                               **(copy.deepcopy(more[0]) if more else {})}
    conf["checks"] = {name: {**CHECK, **check} for name, check in (checks or {}).items()}
    return conf


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_checks_begin_with_it_haproxy(node, program, folder, version):
    """HAProxy demands the header, says what it had, and is down to checks without one."""
    web, secure, silent, free = (free_port() for _ in range(4))
    pem = certificate(folder, "shop.test")
    haproxy(program, folder,
            f"frontend x\n mode http\n bind 127.0.0.1:{web} accept-proxy\n"
            f" bind 127.0.0.1:{secure} accept-proxy ssl crt {pem}\n bind 127.0.0.1:{free}\n"
            " http-request return status 200 content-type text/plain lf-string "
            "\"%[src]>%[dst]:%[dst_port]\"\n"
            f"frontend y\n mode tcp\n bind 127.0.0.1:{silent} accept-proxy\n"
            " timeout client 10s\n")(free)
    trust = {"tls": {"verify": False}}
    n = node(checked(version, {
        "http": (web, {"http": "/", "match": f"127.0.0.1>127.0.0.1:{web}"}),
        "https": (secure, {"http": "/", "match": f"127.0.0.1>127.0.0.1:{secure}"}, trust),
        "tls": (secure, {"tls": True}, trust),
        "tcp": (web, {"tcp": True}),
        "talk": (web, {"tcp": True, "send": r"GET / HTTP/1.0\r\n\r\n", "match": "200 OK"}),
        "own": (web, {"http": "/", "port": web}),
        "without": (web, {"http": "/", "send_proxy": "off"}),
        "beside": (silent, {"http": "/", "port": free}),
        "beside_too": (silent, {"http": "/", "port": web, "send_proxy": version}),
    }, {
        "told": {"address": f"127.0.0.1:{web}", "http": "/", "send_proxy": version},
        "untold": {"address": f"127.0.0.1:{web}", "http": "/"},
    }))
    for name in ("http", "https", "tls", "tcp", "talk", "own", "beside", "beside_too"):
        n.wait_server(f"{name}/s", "up")
    n.wait_server("without/s", "down")
    wait_for(lambda: {c["name"]: c["state"] for c in n.status()["checks"]} ==
             {"told": "up", "untold": "down"}, what="named checks")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_checks_begin_with_it_nginx(node, program, folder, version):
    """nginx logs what it thinks of a client: nothing, of these."""
    web, secure, stream = (free_port() for _ in range(3))
    pem = certificate(folder, "shop.test")
    nginx(program, folder,
          "http { access_log off; server { "
          f"listen 127.0.0.1:{web} proxy_protocol; listen 127.0.0.1:{secure} ssl proxy_protocol; "
          f"ssl_certificate {pem}; ssl_certificate_key {pem}; location / {{ "
          "return 200 \"[$proxy_protocol_addr>$proxy_protocol_server_addr]\"; } } }\n"
          f"stream {{ server {{ listen 127.0.0.1:{stream} proxy_protocol; return hello; }} }}\n",
          stream)
    told = "[127.0.0.1>127.0.0.1]" if version == "v1" else "[>]"
    trust = {"tls": {"verify": False}}
    n = node(checked(version, {
        "http": (web, {"http": "/", "match": told}),
        "https": (secure, {"http": "/", "match": told}, trust),
        "tls": (secure, {"tls": True}, trust),
        "tcp": (stream, {"tcp": True}),
        "talk": (stream, {"tcp": True, "match": "hello"}),
    }))
    for name in ("http", "https", "tls", "tcp", "talk"):
        n.wait_server(f"{name}/s", "up")
    for name in ("http", "tls", "tcp", "talk"):
        wait_for(lambda: n.server(f"{name}/s")["checks_ok"] >= 5, 60, "some checks")
        assert n.server(f"{name}/s")["checks_failed"] == 0
    with open(f"{folder}/{stream}.log", encoding="utf-8") as f:
        assert f.read().count("PROXY") <= 1 # who looked whether it listens had none


@pytest.mark.parametrize("kind", [{"redis": True}, {"postgres": True}, {"mysql": True},
                                  {"smtp": True}, {"grpc": True}])
def test_other_kinds_begin_with_it(node, peers, kind):
    a = peers(Peer, first_bytes)
    conf = checked("v1", {"p": (a.port, {**kind, "send_proxy": "v2"})})
    n = node(conf)
    wait_for(lambda: a.seen)
    assert a.seen[0] == SIGNATURE + b"\x20\0\0\0"
    # a reload that changes the pool's alone counts for its checks
    del conf["pools"]["p"]["check"]["send_proxy"]
    n.reload(conf)
    wait_for(lambda: isinstance(a.seen[-1], bytes) and a.seen[-1].startswith(b"PROXY TCP4 "))
    conf["pools"]["p"]["send_proxy"] = "v2"
    n.reload(conf)
    wait_for(lambda: a.seen[-1] == SIGNATURE + b"\x20\0\0\0")
