"""Has an app of a build of nexus ask nginx: `python3 tools/check_nginx.py PROGRAM`.

nginx and openssl are Debian's. nginx runs in a folder of its own, on free ports, with certificates of an authority that is
made here, and is ended afterwards. tests/nginx is the app.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.processes import end, free_port  # noqa: E402  (it must come after the path)

WORK = ROOT / "target" / "nginx"
LARGE = 64 << 20
TEXT = "nexus asks nginx\n" * 5000


def main(program):
    for tool in ("nginx", "openssl"):
        if not shutil.which(tool):
            sys.exit(f"check_nginx: {tool} is missing (Debian: apt install {tool})")
    shutil.rmtree(WORK, ignore_errors=True)
    for folder in ("files", "stored", "logs", "tmp"):
        (WORK / folder).mkdir(parents=True)
    (WORK / "files" / "text.txt").write_text(TEXT)
    with open(WORK / "files" / "large.bin", "wb") as large:
        large.truncate(LARGE)
    certificates()
    ports = {name: free_port() for name in ("plain", "secure", "wrong_name", "expired", "stranger")}
    (WORK / "nginx.conf").write_text(configuration(ports))
    nginx = subprocess.Popen(["nginx", "-p", str(WORK), "-c", "nginx.conf", "-g", "daemon off;"], stdin=subprocess.DEVNULL)
    try:
        awaited(nginx, f"http://127.0.0.1:{ports['plain']}/protocol")
        check(program, ports)
    finally:
        end(nginx)
    print("check_nginx: apps ask nginx over HTTP/1.1, HTTP/2 and TLS")


def certificates():
    """Two authorities, and certificates of theirs for localhost, for another name, and for a time that is over."""
    for authority in ("own", "strange"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={authority}",
                "-days", "2", "-keyout", f"{authority}.key", "-out", f"{authority}.pem",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    past = ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
    for name, host, authority, when in (
            ("secure", "localhost", "own", ()), ("wrong_name", "other.example", "own", ()), ("stranger", "localhost", "strange", ()),
            ("expired", "localhost", "own", past)):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (WORK / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\nbasicConstraints=CA:FALSE\n")
        if when:
            expired(name, authority)
        else:
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-days", "2",
                    "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def expired(name, authority):
    """`openssl x509` cannot date back, `openssl ca` can."""
    (WORK / "index.txt").write_text("")
    (WORK / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=a\n[a]\ndatabase={WORK}/index.txt\nnew_certs_dir={WORK}/tmp\nserial={WORK}/serial\nrand_serial=yes\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    openssl("ca", "-batch", "-config", "ca.cnf", "-in", f"{name}.csr", "-cert", f"{authority}.pem", "-keyfile", f"{authority}.key",
            "-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-extfile", f"{name}.ext", "-out", f"{name}.pem",
            "-notext")


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], cwd=WORK, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"check_nginx: openssl {arguments[0]} failed:\n{done.stderr}")


def configuration(ports):
    def secure(name):
        return (f"server {{ listen 127.0.0.1:{ports[name]} ssl http2; ssl_certificate {name}.pem; ssl_certificate_key {name}.key; "
                "include places.conf; }")

    (WORK / "places.conf").write_text(f"""
        root {WORK}/files;
        location = /protocol {{ default_type text/plain; return 200 "$server_protocol $connection\\n"; }}
        location = /closed {{ return 444; }}
        location = /circle {{ return 302 /circle; }}
        location = /upload {{ client_max_body_size 1m; proxy_pass http://127.0.0.1:{ports['plain']}/protocol; }}
        location /stored/ {{ root {WORK}; client_max_body_size 100m; dav_methods PUT; }}
    """)
    return f"""
        {'user root; ' if os.getuid() == 0 else ''}pid nginx.pid; error_log logs/error.log; worker_processes 1;
        events {{ worker_connections 512; }}
        http {{
          access_log off; keepalive_timeout 1s; gzip on; gzip_types text/plain; gzip_vary on; types {{ text/plain txt; }}
          client_body_temp_path tmp/body; proxy_temp_path tmp/proxy; fastcgi_temp_path tmp/fastcgi;
          uwsgi_temp_path tmp/uwsgi; scgi_temp_path tmp/scgi;
          server {{ listen 127.0.0.1:{ports['plain']}; include places.conf; }}
          {" ".join(secure(name) for name in ports if name != "plain")}
        }}
    """


def awaited(process, url):
    until = time.monotonic() + 20
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"check_nginx: nothing answers at {url}: {error}")
            time.sleep(0.05)


def check(program, ports):
    folder = WORK / "app"
    shutil.copytree(ROOT / "tests" / "nginx", folder)
    schemes = {name: "http" if name == "plain" else "https" for name in ports}
    env = "".join(f'{name.upper()} = "{schemes[name]}://localhost:{port}"\n' for name, port in ports.items())
    grants = ", ".join(f'"localhost:{port}"' for port in ports.values())
    (folder / "nexus.toml").write_text(f'[env]\n{env}[permissions]\nnet = [{grants}]\n[limits]\ncpu = "10 s"\n')
    (WORK / "nexus-host.toml").write_text(f'[outbound]\nca = ["{WORK}/own.pem"]\n')
    port = free_port()
    with open(WORK / "nexus.log", "w") as log:
        command = [str(Path(program).resolve()), "serve", str(folder), "--port", str(port), "--config", str(WORK / "nexus-host.toml")]
        nexus = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        awaited(nexus, f"http://127.0.0.1:{port}/")

        def told(way):
            return json.loads(awaited(nexus, f"http://127.0.0.1:{port}/{way}"))

        same("protocols", told("protocols"), [["HTTP/1.1", True], ["HTTP/2.0", True]])
        same("parallel", told("parallel"), 1)
        same("compressed", told("compressed"), [None, "Accept-Encoding", len(TEXT)])
        same("large", told("large"), [LARGE, LARGE])
        same("range", told("range"), [206, f"bytes 0-4/{len(TEXT)}", "nexus"])
        same("refused", told("refused"), [413, 413])
        same("uploaded", told("uploaded"), [201, 320 * 65536])
        same("idle", told("idle"), [200] * 6)
        same("closed", [code for _, code, _ in told("closed")], ["ECONNRESET", "ECONNRESET"])
        same("circle", ["more than 20 times" in message for _, _, message in told("circle")], [True, True])
        same("certificates", [code for _, code, _ in told("certificates")], ["ETLS"] * 3)
        same("mismatched", [each if isinstance(each, int) else each[1] for each in told("mismatched")], ["ETLS", 400])
        same("pass", len(awaited(nexus, f"http://127.0.0.1:{port}/pass")), LARGE)
    finally:
        end(nexus)


def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"check_nginx: {what}: {found}, not {wanted}; see {WORK}/nexus.log and {WORK}/logs/error.log")
    print(f"check_nginx: {what}: as it should be")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_nginx.py PROGRAM")
    main(sys.argv[1])
