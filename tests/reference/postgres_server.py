"""A PostgreSQL server of the tests' own, from the binaries of this machine."""

import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

USER = "veldt"
PLACES = "/usr/lib/postgresql/*/bin"  # where Debian puts them


def program(name):
    """The path of one of its programs; None if it is not here."""
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"{PLACES}/{name}"))[::-1]), None)
    return found and os.path.realpath(found)


class PostgresServer:
    """The server; it answers at a socket in its folder alone.

    It refuses to be root's, so root's is nobody's.
    """

    def __init__(self):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="veldt-pg-"))
        self._as = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._do("initdb", "--no-sync", f"--username={USER}", "--auth=trust")
        # Who has a password has to give it.
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        self._databases = 0
        self.start()

    def _do(self, name, *arguments):
        done = subprocess.run(
            [program(name), *arguments, "-D", self._folder / "data"],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **self._as,
        )
        assert done.returncode == 0, done.stderr

    def start(self):
        options = f"-c listen_addresses='' -c fsync=off -k {self._folder}"
        log = self._folder / "log"
        self._do("pg_ctl", "start", "--wait", f"--log={log}", f"--options={options}")

    def stop(self):
        # Not "fast": right after a crash it may be waiting for its own recovery for minutes.
        self._do("pg_ctl", "stop", "--wait", "--mode=immediate")

    def url(self, database, user=USER, password=None):
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@{str(self._folder).replace('/', '%2F')}/{database}"

    def database(self):
        """The URL of a new database."""
        self._databases += 1
        name = f"studies{self._databases}"
        self.ask("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def ask(self, place, question, *given):
        """Rows; `place` is a database or its URL."""
        import psycopg

        url = place if "://" in place else self.url(place)
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(question, given)
            return cursor.fetchall() if cursor.description else []

    def guarded(self, url, password):
        """Has the user `guarded`, who has a password, without any rights yet."""
        for (name,) in self.ask("postgres", "SELECT datname FROM pg_database WHERE datallowconn"):
            if self.ask("postgres", "SELECT 1 FROM pg_roles WHERE rolname = 'guarded'"):
                self.ask(name, "DROP OWNED BY guarded")
        self.ask(url, "DROP ROLE IF EXISTS guarded")
        self.ask(url, f"CREATE ROLE guarded LOGIN PASSWORD '{password}'")

    def kill_backends(self, url):
        """SIGKILLs the processes that serve a database's clients; the server restarts itself."""
        name = url.rpartition("/")[2]
        asked = (
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'veldt'"
        )
        pids = [pid for (pid,) in self.ask("postgres", asked, name)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    def close(self):
        try:
            self._do("pg_ctl", "stop", "--wait", "--mode=immediate")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
