# SPDX-License-Identifier: Apache-2.0
"""Certificates come and go: folders that are watched, files in pieces, what broken ones do, keys of
tickets, the local authority; over reloads, restarts and upgrades."""

import ctypes
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess

import pytest

from certfiles import Cert, Handshakes, Session, connect, put, shown
from conftest import free_port, simple, wait_for

def secure(port, whoami, certs, **tls):
    conf = simple(port, [whoami("a"), whoami("b")])
    conf["listeners"] = {"web": {"bind": f"127.0.0.1:{port}",
                                 "tls": {"certificates": certs, **tls}}}
    return conf


def problems(n):
    return {c["origin"]: c["problem"] for c in n.status()["certificates"] if c["problem"]}


def served(port, host, cert):
    wait_for(lambda: shown(port, host) == cert.der, what=f"the new certificate of {host}")


# --- folders ----------------------------------------------------------------------------------

def test_a_new_certificate_is_served_without_a_reload(node, whoami, tmp_path):
    port, a, b = free_port(), Cert("a.test"), Cert("b.test", "*.b.test", kind=2048)
    a.write(tmp_path, "a")
    n = node(secure(port, whoami, [{"dir": str(tmp_path)}]))
    assert shown(port, "a.test") == a.der
    assert shown(port, "unknown.test") == a.der # the first one is the default
    b.write(tmp_path, "b", ".crt")
    served(port, "x.b.test", b)
    a2 = Cert("a.test")
    a2.write(tmp_path, "a")
    served(port, "a.test", a2)
    n.wait_log("certificate_taken")
    os.unlink(tmp_path / "b.crt")
    os.unlink(tmp_path / "b.key")
    served(port, "x.b.test", a2)
    n.wait_log("certificate_removed")
    assert n.status()["generation"] == 1 # nothing was reloaded


class Opened:
    """Which files of a folder are opened, as inotify tells it."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self.fd, os.fsencode(folder), 0x20) >= 0 # IN_OPEN

    def names(self):
        """Since the last call."""
        out = set()
        try:
            data = os.read(self.fd, 1 << 20)
        except BlockingIOError:
            return out
        while data:
            size = struct.unpack("iIII", data[:16])[3]
            out.add(data[16:16 + size].rstrip(b"\0").decode())
            data = data[16 + size:]
        return out


def test_only_what_has_changed_is_read_again(node, whoami, tmp_path):
    """Size and time of the contents may be those of before: the file is read all the same."""
    d, port, a = str(tmp_path / "certs"), free_port(), Cert("a.test")
    os.mkdir(d)
    Cert("b.test").write(d, "b")
    a.write(d, "a")
    n = node(secure(port, whoami, [{"dir": d}]))
    opened = Opened(d)

    def alone():
        """Another pair comes; whether that was all that was read."""
        opened.names()
        c = Cert("c.test")
        c.write(d, "c")
        served(port, "c.test", c)
        return {x for x in opened.names() if not x.endswith(".tmp")} <= {"", "c.pem", "c.key"}
    wait_for(alone, what="a look that reads nothing twice", every=0.5)
    old = os.stat(os.path.join(d, "a.pem"))
    a2 = Cert("a.test")
    while len(a2.chain) != old.st_size:
        a2 = Cert("a.test")
    put(os.path.join(d, "a.key"), a2.key_pem)
    with open(os.path.join(d, "a.pem"), "r+b") as f: # where it lies
        f.write(a2.chain)
    os.utime(os.path.join(d, "a.pem"), ns=(old.st_atime_ns, old.st_mtime_ns))
    served(port, "a.test", a2)
    assert not problems(n)


@pytest.mark.sanitize
def test_a_certificate_directory_fed_with_truncated_mismatched_expired_and_huge_files_loses_no_served_host(
        node, whoami, tmp_path):
    """And with whatever else may come to lie there, while clients go on."""
    port, d = free_port(), str(tmp_path / "certs")
    os.mkdir(d)
    good = {h: Cert(h) for h in ("a.test", "b.test", "c.test", "d.test")}
    for h, c in good.items():
        c.write(d, h)
    n = node(secure(port, whoami, [{"dir": d}]))
    clients = Handshakes(port, {h: [c.der] for h, c in good.items()})
    wait_for(lambda: clients.done > 20)

    path = {h: (os.path.join(d, h + ".pem"), os.path.join(d, h + ".key")) for h in good}
    with open(path["a.test"][0], "r+b") as f: # truncated where it lies
        f.truncate(200)
    wait_for(lambda: "cut short or broken" in problems(n).get(path["a.test"][0], ""))
    n.wait_log("certificate 1 in it is cut short or broken; the one in service stays")
    put(path["b.test"][0], Cert("b.test").pem) # the key of another one
    wait_for(lambda: "does not belong" in problems(n).get(path["b.test"][0], ""))
    Cert("c.test", days=-1, start=-10).write(d, "c.test") # expired
    wait_for(lambda: "it has expired on" in problems(n).get(path["c.test"][0], ""))
    with open(path["d.test"][0], "wb") as f: # huge, sparse
        f.truncate(8 << 30)
    wait_for(lambda: "larger than" in problems(n).get(path["d.test"][0], ""))
    with open(path["a.test"][1], "wb"): # emptied
        pass

    # strangers beside them
    os.mkfifo(os.path.join(d, "fifo.pem"))
    os.symlink("/nowhere/x.pem", os.path.join(d, "dangling.pem"))
    os.symlink("/dev/zero", os.path.join(d, "endless.pem"))
    os.mkdir(os.path.join(d, "folder.pem"))
    os.mkdir(os.path.join(d, "nothing"))
    Cert("weak.test", kind=1024).write(d, "weak")
    put(os.path.join(d, "locked.pem"), good["a.test"].pem)
    os.chmod(os.path.join(d, "locked.pem"), 0)
    with open(os.path.join(d, "random.crt"), "wb") as f:
        f.write(os.urandom(100000))
    s = socket.socket(socket.AF_UNIX)
    s.bind(os.path.join(d, "socket.pem"))
    s.close()
    for name in ("fifo", "dangling", "endless", "folder", "weak", "socket"):
        wait_for(lambda: os.path.join(d, name + ".pem") in problems(n), what=name)
    assert "not a regular file" in problems(n)[os.path.join(d, "fifo.pem")]
    assert "1024 bits is too weak" in problems(n)[os.path.join(d, "weak.pem")]

    # many at once, most of them of no use
    for i in range(5000):
        with open(os.path.join(d, f"many{i}.{('txt', 'key', 'crt')[i % 3]}"), "wb") as f:
            f.write(b"x")
    wait_for(lambda: len(problems(n)) > 1600, 60)
    for i in range(5000):
        os.unlink(os.path.join(d, f"many{i}.{('txt', 'key', 'crt')[i % 3]}"))

    # the folder itself goes, comes back empty, comes back with one of them renewed
    os.rename(d, d + ".away")
    wait_for(lambda: "the folder cannot be read" in problems(n).get(path["a.test"][0], ""), 90)
    os.mkdir(d)
    wait_for(lambda: "holds no certificates" in problems(n).get(path["a.test"][0], ""), 90)
    os.rmdir(d)
    os.rename(d + ".away", d)
    for h in good: # what is there again is what it was: as broken
        wait_for(lambda: path[h][0] in problems(n) and
                 "the folder" not in problems(n)[path[h][0]], 90)

    # and whoever repairs it is heard
    fresh = Cert("a.test")
    clients.hosts["a.test"].append(fresh.der)
    fresh.write(d, "a.test")
    served(port, "a.test", fresh)
    for h in ("b.test", "c.test", "d.test"):
        good[h].write(d, h)
        wait_for(lambda: path[h][0] not in problems(n))
    assert clients.stop() == []
    assert clients.done > 100


def test_a_pair_is_taken_once_both_halves_are_there(node, whoami, tmp_path):
    port, old, new = free_port(), Cert("a.test"), Cert("a.test")
    cert, key = old.write(tmp_path, "a")
    n = node(secure(port, whoami, [{"cert": cert, "key": key}]))
    clients = Handshakes(port, {"a.test": [old.der, new.der]})
    put(cert, new.pem)
    n.wait_log("does not belong to the certificate; the one in service stays")
    assert shown(port, "a.test") == old.der
    put(key, new.key_pem)
    served(port, "a.test", new)
    assert clients.stop() == []
    assert problems(n) == {}


def test_folders_of_certbot_and_links_that_are_swapped(node, whoami, tmp_path):
    port, a, b = free_port(), Cert("a.test"), Cert("a.test")
    archive, live = tmp_path / "archive", tmp_path / "live" / "a.test"
    os.makedirs(archive)
    os.makedirs(live)
    for i, c in enumerate((a, b), 1):
        put(str(archive / f"fullchain{i}.pem"), c.pem)
        put(str(archive / f"privkey{i}.pem"), c.key_pem)
    for name in ("fullchain", "privkey"):
        os.symlink(archive / f"{name}1.pem", live / f"{name}.pem")
    # as Kubernetes has it: the file is a link through ..data, which is exchanged
    vol = tmp_path / "vol"
    for i, c in enumerate((Cert("k.test"), Cert("k.test")), 1):
        os.makedirs(vol / f"..{i}")
        put(str(vol / f"..{i}" / "tls.crt"), c.pem)
        put(str(vol / f"..{i}" / "tls.key"), c.key_pem)
    second = c
    os.symlink("..1", vol / "..data")
    for name in ("tls.crt", "tls.key"):
        os.symlink(f"..data/{name}", vol / name)
    node(secure(port, whoami, [{"dir": str(tmp_path / "live")},
                               {"cert": str(vol / "tls.crt"), "key": str(vol / "tls.key")}]))
    assert shown(port, "a.test") == a.der
    os.symlink("..2", vol / "..new")
    os.rename(vol / "..new", vol / "..data")
    served(port, "k.test", second)
    for name in ("fullchain", "privkey"):
        os.symlink(archive / f"{name}2.pem", live / f"{name}.new")
        os.rename(live / f"{name}.new", live / f"{name}.pem")
    served(port, "a.test", b)


def test_a_folder_that_comes_later_is_found(node, whoami, tmp_path):
    port, a = free_port(), Cert("a.test")
    n = node(secure(port, whoami, [{"dir": str(tmp_path / "x" / "y")}]))
    with pytest.raises(ssl.SSLError):
        shown(port, "a.test")
    assert "cannot be read" in problems(n)[str(tmp_path / "x" / "y")]
    os.makedirs(tmp_path / "x" / "y")
    a.write(tmp_path / "x" / "y", "a")

    def there():
        try:
            return shown(port, "a.test") == a.der
        except ssl.SSLError:
            return False
    wait_for(there)


# --- at the start -----------------------------------------------------------------------------

def test_a_named_file_that_is_broken_is_an_error_with_its_place(node, whoami, tmp_path):
    cert, key = Cert("a.test").write(tmp_path, "a")
    n = node(secure(free_port(), whoami, [{"cert": cert, "key": key}]), start=False)
    assert n.cli("check", "-c", n.path).returncode == 0
    put(key, Cert("a.test").key_pem)
    r = n.cli("check", "-c", n.path)
    assert r.returncode == 1
    assert "does not belong to the certificate" in r.stdout + r.stderr
    assert f"{n.path}:" in r.stdout + r.stderr
    Cert("a.test", days=3).write(tmp_path, "a")
    r = n.cli("check", "-c", n.path)
    assert r.returncode == 0 and "expires on" in r.stdout + r.stderr


def test_a_broken_pair_in_a_folder_does_not_keep_the_node_from_starting(node, whoami, tmp_path):
    port, a = free_port(), Cert("a.test")
    put(str(tmp_path / "0.pem"), b"not a certificate\n")
    a.write(tmp_path, "a")
    n = node(secure(port, whoami, [{"dir": str(tmp_path)}]))
    assert shown(port, "a.test") == a.der
    assert list(problems(n)) == [str(tmp_path / "0.pem")]


# --- what is told -----------------------------------------------------------------------------

def test_status_metrics_and_health_tell_what_is_about_to_end(node, whoami, tmp_path):
    port = free_port()
    Cert("well.test", days=90.5).write(tmp_path, "well")
    Cert("soon.test", days=5.5, start=-84).write(tmp_path, "soon")
    n = node(secure(port, whoami, [{"dir": str(tmp_path)}]))
    certs = {c["names"]: c for c in n.status()["certificates"]}
    assert certs["well.test"]["stage"] == "well" and certs["well.test"]["days_left"] == 90
    assert certs["soon.test"]["stage"] == "urgent" and certs["soon.test"]["days_left"] == 5
    assert certs["soon.test"]["key"] == "ECDSA P-256"
    n.wait_log("certificate_expires")
    page = n.cli("status").stdout
    assert "soon.test" in page and "5 d" in page
    health = n.api("GET", "/health")
    assert "it is about to expire" in str(health.body if hasattr(health, "body") else health)
    lines = [(k, v) for k, v in n.metrics().items()
             if "certificate_expiry_timestamp" in str(k) and "well.test" in str(k)]
    assert len(lines) == 1


# --- keys of tickets --------------------------------------------------------------------------

@pytest.mark.sanitize
def test_sessions_and_certificates_outlive_proxy_reload_parent_and_upgrade(node, whoami, tmp_path):
    port, a, b = free_port(), Cert("a.test"), Cert("b.test")
    a.write(tmp_path, "a")
    conf = secure(port, whoami, [{"dir": str(tmp_path)}])
    n = node(conf)
    client = Session(port, "a.test")
    assert client.resume()
    b.write(tmp_path, "b")
    served(port, "b.test", b)
    with open(tmp_path / "b.pem", "wb") as f: # broken from here on: only the store has it
        f.write(b"x")
    n.wait_log("certificate_refused")

    conf["listeners"]["more"] = {"bind": f"127.0.0.1:{free_port()}"}
    assert n.reload(conf).returncode == 0
    assert client.resume() and shown(port, "b.test") == b.der
    old = n.role_pid("proxy")
    n.kill_role("proxy")
    wait_for(lambda: n.role_pid("proxy") != old)
    n.wait_ready()
    assert client.resume() and shown(port, "b.test") == b.der
    os.kill(n.pid, signal.SIGKILL)
    n.proc.wait(30)
    assert client.resume() and shown(port, "b.test") == b.der # roles serve on
    n.start()
    assert client.resume() and shown(port, "b.test") == b.der
    n.kill_role("proxy") # the new parent hands on what it has adopted
    n.wait_ready()
    wait_for(lambda: shown(port, "b.test") == b.der)
    assert client.resume()
    assert n.cli("upgrade").returncode == 0
    n.wait_ready()
    assert client.resume() and shown(port, "b.test") == b.der


def test_keys_of_tickets_rotate_and_the_former_ones_still_resume(node, whoami, tmp_path):
    port = free_port()
    Cert("a.test").write(tmp_path, "a")
    node(secure(port, whoami, [{"dir": str(tmp_path)}], ticket_rotation="4s"))
    first = Session(port, "a.test")
    assert first.resume()
    # by then the key is two rotations old at least: forgotten
    wait_for(lambda: not first.resume(), 60, "the first key to be forgotten", every=1)
    assert Session(port, "a.test").resume()


def test_nodes_that_share_a_file_of_keys_resume_each_others_sessions(node, whoami, tmp_path):
    ports = free_port(), free_port()
    a = Cert("a.test")
    os.mkdir(tmp_path / "c")
    a.write(tmp_path / "c", "a")
    keys = str(tmp_path / "keys")
    one, two = os.urandom(80), os.urandom(80)
    put(keys, one)
    for p in ports:
        node(secure(p, whoami, [{"dir": str(tmp_path / "c")}], ticket_keys=keys))
    client = Session(ports[0], "a.test")
    assert client.resume(ports[1])
    put(keys, two) # the key of before is gone
    wait_for(lambda: not client.resume(ports[1]), what="the new key")
    put(keys, b"too short")
    assert Session(ports[1], "a.test").resume()


# --- the local authority ----------------------------------------------------------------------

def test_the_local_authority_signs_for_what_the_file_names(node, whoami):
    port = free_port()
    conf = secure(port, whoami, "x")
    conf["listeners"]["web"]["tls"] = "internal"
    conf["routes"]["shop"] = {"host": ["shop.test", "*.shop.test"], "to": "web"}
    n = node(conf)
    ca = n.status()["authority"]
    assert ca == os.path.join(n.state, "internal-ca.pem")
    leaf = shown(port, "shop.test", ca=ca)
    for host in ("localhost", "127.0.0.1", "www.shop.test"):
        assert shown(port, host, ca=ca) == leaf
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(port, "other.test", ca=ca)
    assert os.stat(os.path.join(n.state, "tls")).st_mode & 0o777 == 0o700
    for name in ("ca.key", "leaf.key"):
        assert os.stat(os.path.join(n.state, "tls", name)).st_mode & 0o777 == 0o600
    n.stop()
    n.start()
    assert shown(port, "shop.test", ca=ca) == leaf
    conf["routes"]["other"] = {"host": "other.test", "to": "web"}
    assert n.reload(conf).returncode == 0
    assert shown(port, "other.test", ca=ca) != leaf


# --- stapling ---------------------------------------------------------------------------------

def stapled(port, host):
    r = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", host,
                        "-status"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                       check=False)
    return b"OCSP Response Status: successful" in r.stdout


def test_an_ocsp_answer_is_stapled_while_it_is_good(node, whoami, tmp_path):
    port, ca = free_port(), Cert("ca.test", ca=True)
    a = Cert("a.test", issuer=ca)
    cert, _ = a.write(tmp_path, "a")
    n = node(secure(port, whoami, [{"dir": str(tmp_path)}]))
    assert not stapled(port, "a.test")
    put(cert + ".ocsp", a.staple())
    wait_for(lambda: stapled(port, "a.test"))
    put(cert + ".ocsp", Cert("a.test", issuer=ca).staple()) # another certificate's
    wait_for(lambda: "another certificate" in str(n.status()["certificates"][0]["note"]))
    assert stapled(port, "a.test") # the one before is still good


# --- until an issuer has answered -------------------------------------------------------------

def test_a_listener_works_before_its_issuer_has_issued(node, whoami):
    port = free_port()
    conf = secure(port, whoami, [{"acme": "nobody", "hosts": ["a.test"]}])
    conf["listeners"]["http"] = {"bind": f"127.0.0.1:{free_port()}"}
    conf["acme"] = {"nobody": {"directory": f"https://127.0.0.1:{free_port()}/directory",
                               "email": "a@a.test", "agree": True, "challenge": "http-01"}}
    n = node(conf)
    temporary = shown(port, "a.test")
    assert any("temporary" in p for p in problems(n).values())
    # what the role writes is taken, and nothing that it points at
    live = os.path.join(n.state, "acme", "nobody", "live", "a.test")
    real = Cert("a.test")
    shutil.rmtree(live, ignore_errors=True)
    os.makedirs(live)
    secret = Cert("secret.test").write(n.dir, "secret")
    os.symlink(secret[0], os.path.join(live, "fullchain.pem"))
    os.symlink(secret[1], os.path.join(live, "privkey.pem"))
    n.reload() # nothing has changed in the file: files are looked at
    wait_for(lambda: any("loop" in p or "links" in p or "Too many" in p
                         for p in problems(n).values()))
    os.unlink(os.path.join(live, "fullchain.pem"))
    os.unlink(os.path.join(live, "privkey.pem"))
    put(os.path.join(live, "fullchain.pem"), real.pem)
    put(os.path.join(live, "privkey.pem"), real.key_pem)
    n.reload()
    served(port, "a.test", real)
    assert temporary != real.der
