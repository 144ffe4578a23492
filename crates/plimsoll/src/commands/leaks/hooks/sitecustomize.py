"""Tells `plimsoll leaks` which test runs and which connections are lent.

Python imports this at its start because the command put its directory on
PYTHONPATH. It changes nothing that a program could see, writes to a pipe that is
never waited for, and is silent when anything fails.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_FOREIGN = ("site-packages", "dist-packages", os.path.dirname(os.__file__), "<frozen", _HERE)


class _Teller:
    """Writes lines to the pipe, each in one piece."""

    def __init__(self, path):
        self.path, self.pipe, self.in_pytest = path, None, 0

    def tell(self, word, *rest):
        try:
            import time

            if self.pipe is None:
                self.pipe = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            moment = time.time_ns() // 1000
            words = [word, str(os.getpid()), str(moment)]
            for text in rest:
                text = "".join(c if c.isprintable() else " " for c in str(text))
                words.append(text[:300])
            line = ("\t".join(words) + "\n").encode("utf-8", "replace")
            for _ in range(50):
                try:
                    os.write(self.pipe, line)
                    return
                except BlockingIOError:
                    time.sleep(0.001)
        except Exception:
            pass


def _place():
    """The innermost line that is the program's own."""
    try:
        frame = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            if not any(part in name for part in _FOREIGN) and not name.startswith("<"):
                here = os.getcwd() + os.sep
                shown = name[len(here):] if name.startswith(here) else name
                return "%s:%d in %s" % (shown, frame.f_lineno, frame.f_code.co_name)
            frame = frame.f_back
    except Exception:
        pass
    return ""


def _port(connection):
    """The local port of a connection of any driver that is known; 0: unknown."""
    import socket

    seen = 0
    while connection is not None and seen < 5:
        seen += 1
        transport = getattr(connection, "_transport", None)
        if transport is not None:
            return transport.get_extra_info("sockname")[1]
        fileno = getattr(connection, "fileno", None)
        if fileno is not None:
            handle = socket.socket(fileno=fileno())
            try:
                return handle.getsockname()[1]
            finally:
                handle.detach()
        inner = None
        for name in ("driver_connection", "_connection", "_con", "connection"):
            inner = getattr(connection, name, None)
            if inner is not None:
                break
        connection = inner
    return 0


class _Watch:
    """Lives as long as its thread."""

    def __init__(self, teller, port):
        self.teller, self.port = teller, port

    def __del__(self):
        self.teller.tell("orphan", self.port)


class _Patches:
    """What is done to modules when they are imported."""

    def __init__(self, teller):
        self.teller, self.local, self.lent = teller, None, {}

    def say(self, word, connection, place="", *more):
        try:
            # One that was closed in between has no port any more.
            port = self.lent.pop(id(connection), 0) if word in ("return", "collect") else 0
            port = port or _port(connection)
            if port:
                self.teller.tell(word, port, place, *more)
                if word == "borrow" and len(self.lent) < 10000:
                    self.lent[id(connection)] = port
            return port
        except Exception:
            return 0

    def opened(self, connection, place):
        try:
            import threading

            port = self.say("open", connection, place, threading.get_ident())
            if port and threading.current_thread() is not threading.main_thread():
                if self.local is None:
                    self.local = threading.local()
                watched = getattr(self.local, "watched", None)
                if watched is None:
                    watched = self.local.watched = []
                if len(watched) < 1000:
                    watched.append(_Watch(self.teller, port))
        except Exception:
            pass

    def calls(self, owner, name, word):
        """Reports what a function returns, and for `return` what it is given."""
        import functools

        original = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
        kind = type(original) if isinstance(original, (classmethod, staticmethod)) else None
        function = original.__func__ if kind else original
        patches = self
        asynchronous = getattr(getattr(function, "__code__", None), "co_flags", 0) & 0x80

        def before(args):
            if word == "return":
                patches.say("return", args[1])

        def after(result, place):
            if word == "open":
                patches.opened(result, place)
            elif word == "borrow":
                patches.say("borrow", result, place)

        if asynchronous:

            @functools.wraps(function)
            async def told(*args, **kwargs):
                before(args)
                place = _place()
                result = await function(*args, **kwargs)
                after(result, place)
                return result

        else:

            @functools.wraps(function)
            def told(*args, **kwargs):
                before(args)
                result = function(*args, **kwargs)
                after(result, _place())
                return result

        setattr(owner, name, kind(told) if kind else told)

    def unittest_case(self, module):
        run, teller = module.TestCase.run, self.teller

        def told(self, *args, **kwargs):
            if teller.in_pytest:
                return run(self, *args, **kwargs)
            name = self.id()
            teller.tell("begin", name)
            try:
                return run(self, *args, **kwargs)
            finally:
                teller.tell("end", name)

        told.__doc__, told.__name__ = run.__doc__, run.__name__
        module.TestCase.run = told

    def pytest_runner(self, module):
        run, teller = module.runtestprotocol, self.teller

        def runtestprotocol(item, *args, **kwargs):
            teller.in_pytest += 1
            teller.tell("begin", item.nodeid)
            try:
                return run(item, *args, **kwargs)
            finally:
                teller.tell("end", item.nodeid)
                teller.in_pytest -= 1

        module.runtestprotocol = runtestprotocol

    def sqlalchemy(self, module):
        from sqlalchemy import event
        from sqlalchemy.pool import Pool

        def checkout(connection, record, proxy):
            self.say("borrow", connection, _place())

        def checkin(connection, record):
            if connection is None:
                return
            word, frame = "return", sys._getframe(1)
            for _ in range(20):
                if frame is None:
                    break
                if frame.f_code.co_name == "_finalize_fairy":
                    if frame.f_locals.get("is_gc_cleanup"):
                        word = "collect"
                    break
                frame = frame.f_back
            self.say(word, connection)

        def parted(connection, *rest):
            # It is the program's own from now on, or of no use.
            self.say("return", connection)

        event.listen(Pool, "checkout", checkout)
        event.listen(Pool, "checkin", checkin)
        for name in ("detach", "invalidate", "soft_invalidate"):
            event.listen(Pool, name, parted)

    def psycopg2(self, module):
        self.calls(module, "connect", "open")

    def psycopg2_pool(self, module):
        for name in ("SimpleConnectionPool", "ThreadedConnectionPool"):
            self.calls(getattr(module, name), "getconn", "borrow")
            self.calls(getattr(module, name), "putconn", "return")

    def psycopg(self, module):
        for name in ("Connection", "AsyncConnection"):
            owner = vars(module).get(name)
            if owner is not None and "connect" in vars(owner):
                self.calls(owner, "connect", "open")

    def psycopg_pool(self, module):
        for name in ("ConnectionPool", "AsyncConnectionPool"):
            owner = vars(module).get(name)
            if owner is not None and "getconn" in vars(owner):
                self.calls(owner, "getconn", "borrow")
                self.calls(owner, "putconn", "return")

    def asyncpg_connection(self, module):
        self.calls(module, "connect", "open")

    def asyncpg_pool(self, module):
        self.calls(module.Pool, "_acquire", "borrow")
        self.calls(module.Pool, "release", "return")


class _Finder:
    """Lets others find a module, and patches it once it is there."""

    def __init__(self, patches):
        self.waiting = {
            "unittest.case": patches.unittest_case,
            "_pytest.runner": patches.pytest_runner,
            "sqlalchemy": patches.sqlalchemy,
            "psycopg2": patches.psycopg2,
            "psycopg2.pool": patches.psycopg2_pool,
            "psycopg.connection": patches.psycopg,
            "psycopg.connection_async": patches.psycopg,
            "psycopg_pool.pool": patches.psycopg_pool,
            "psycopg_pool.pool_async": patches.psycopg_pool,
            "asyncpg.connection": patches.asyncpg_connection,
            "asyncpg.pool": patches.asyncpg_pool,
        }

    def find_spec(self, name, path=None, target=None):
        patch = self.waiting.pop(name, None)
        if patch is None:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = None if finder is self or find is None else find(name, path, target)
            if spec is None:
                continue
            try:
                execute = spec.loader.exec_module

                def exec_module(module):
                    execute(module)
                    try:
                        patch(module)
                    except Exception:
                        pass

                spec.loader.exec_module = exec_module
            except Exception:
                pass
            return spec
        return None


def _start():
    path = os.environ.get("PLIMSOLL_LEAKS_PIPE")
    if not path:
        return
    import atexit

    teller = _Teller(path)
    # The first that is registered is called last: after the program's own.
    atexit.register(teller.tell, "exit")
    sys.meta_path.insert(0, _Finder(_Patches(teller)))


def _chain():
    """The sitecustomize that would have been imported without this one."""
    from importlib.machinery import PathFinder

    places = [p for p in sys.path if os.path.abspath(p or ".") != _HERE]
    spec = PathFinder.find_spec("sitecustomize", places)
    if spec is not None and spec.loader is not None:
        import importlib.util

        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


try:
    _start()
except Exception:
    pass
_chain()
