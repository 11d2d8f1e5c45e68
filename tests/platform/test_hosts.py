"""Other hosts of actors: the learner's book, and both ends over real sockets."""

import dataclasses
import os
import socket
import sys
import threading

import pytest
import zmq

from veldt.platform import wire
from veldt.platform.channels import certificates
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.door import Door
from veldt.platform.channels.host_end import HostChannel, LearnerLost
from veldt.platform.channels.hosts import SETTLED_S, SILENCE_S, Hosts
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.errors import CodeError, InputError
from veldt.platform.runs import code_version
from veldt.platform.tickets import Tickets

WATCHDOG_S = 20.0
LOOPBACK = "tcp://127.0.0.1:0"


def alive():
    return True


@pytest.fixture
def listen():
    """Makes learners' channels, and closes them."""
    channels = []

    def make(door):
        tickets = Tickets(actors=4, batch=1, done=0, updates=6, max_lag=3)
        channels.append(LearnerChannel(tickets, {"hello": 1}, "ipc", door))
        channels[-1].publish(0, {})
        return channels[-1]

    yield make
    for channel in channels:
        closing = threading.Thread(target=channel.close)
        closing.start()
        closing.join(WATCHDOG_S)
        assert not closing.is_alive(), "the channel did not close"


@pytest.fixture
def guarded(tmp_path):
    """A learner's door that wants keys, and a key to it."""
    guest = certificates.read(certificates.create(tmp_path, "lab2"))
    own = certificates.read(tmp_path / "learner.key")
    return Door(LOOPBACK, own, certificates.AllowList(tmp_path), actors=1), guest


def test_the_book_gives_the_lowest_numbers_that_are_free():
    hosts = Hosts(taken=2)
    assert hosts.join(b"a", "a", 2, 0.0).actors == {2, 3}
    assert hosts.join(b"b", "b", 1, 0.0).actors == {4}
    assert hosts.join(b"a", "a", 3, 0.0).actors == {2, 3, 5}  # it forgot what it had
    assert hosts.of(4)[0] == b"b" and hosts.of(0) is None
    assert hosts.heard(b"b", 5.0).name == "b" and hosts.heard(b"c", 5.0) is None
    assert hosts.silent(SILENCE_S + 1.0) == [b"a"]
    hosts.leave(b"a")
    assert hosts.join(b"c", "c", 4, 9.0).actors == {2, 3, 5, 6}


def test_the_book_gives_the_numbers_of_tasks_that_few_play():
    hosts = Hosts(taken=1, plays="abc")
    assert hosts.join(b"a", "a", 4, 0.0).actors == {1, 2, 3, 4}
    assert hosts.join(b"b", "b", 1, 0.0).actors == {5}
    hosts.leave(b"a")
    # There are 0, which plays a, and 5, which plays c.
    assert hosts.join(b"c", "c", 1, 0.0).actors == {1}
    assert hosts.join(b"d", "d", 2, 0.0).actors == {2, 3}
    hosts = Hosts(taken=0, plays="abcde")
    hosts.join(b"a", "a", 5, 0.0)
    assert hosts.join(b"b", "b", 1, 0.0).actors == {5}  # a
    hosts.leave(b"a")
    assert hosts.join(b"c", "c", 4, 0.0).actors == {1, 2, 3, 4}
    assert hosts.join(b"d", "d", 2, 0.0).actors == {0, 6}
    both = Hosts(taken=0, plays="aab")  # as many learners share actors
    assert both.join(b"a", "a", 4, 0.0).actors == {0, 1, 2, 5}


def test_tasks_that_nobody_plays_are_told_once():
    settled = SETTLED_S + 1.0
    hosts = Hosts(taken=0, plays="abcde")
    assert hosts.lacking(0.0) == hosts.lacking(settled) == []  # nobody is there to learn from
    hosts.join(b"a", "a", 2, 10.0)
    assert hosts.lacking(11.0) == []  # more may come
    hosts.join(b"b", "b", 2, 12.0)
    assert hosts.lacking(10.0 + settled) == []
    assert hosts.lacking(12.0 + settled) == ["e"] and hosts.present == 4
    assert hosts.lacking(13.0 + settled) == []
    hosts.leave(b"b")
    assert hosts.lacking(40.0) == [] and hosts.lacking(40.0 + settled) == ["c", "d", "e"]
    hosts.join(b"b", "b", 3, 60.0)
    assert hosts.lacking(60.0 + settled) == []
    hosts.leave(b"b")  # once more
    assert hosts.lacking(80.0) == [] and hosts.lacking(80.0 + settled) == ["c", "d", "e"]
    own = Hosts(taken=1, plays="ab")
    assert own.lacking(0.0) == [] and own.lacking(settled) == ["b"]


def test_a_learner_says_which_tasks_nobody_plays(monkeypatch, caplog, until):
    monkeypatch.setattr("veldt.platform.channels.hosts.SETTLED_S", 0.0)
    tickets = Tickets(actors=4, batch=1, done=0, updates=6, max_lag=3)
    door = Door(LOOPBACK)
    learner = LearnerChannel(tickets, {}, "ipc", door, plays=("pong", "boxing", "qbert"))
    host = HostChannel(learner.door, None)
    host.join(1, WATCHDOG_S, alive)
    until(lambda: "no actor plays boxing, qbert: start more than the 1 " in caplog.text)
    host.beat()
    learner.close()
    assert caplog.text.count("no actor plays") == 1
    host.close()


def test_a_host_joins_with_its_key_and_its_actors_deliver(listen, guarded):
    door, guest = guarded
    learner = listen(door)
    host = HostChannel(learner.door, guest)
    actors = host.join(2, WATCHDOG_S, alive)
    assert actors == {1: -1, 2: -1} and host.settings == {"hello": 1}
    host.expect(1, 0)
    actor = ActorChannel(learner.door, host.run, 1, 0, guest)
    ticket, _ = actor.work(-1)
    actor.deliver(ticket, {}, [], {})
    assert learner.receive(WATCHDOG_S).header.number == ticket.number
    assert host.beat() == {1} and host.beat() == set()
    held, _ = actor.work(0)
    host.leave()
    # What its actors were at goes to another, here to one of the learner's own.
    learner.expect(0, 0)
    own = ActorChannel(learner.address, learner.run, 0, 0)
    assert own.work(-1)[0].number == held.number
    assert learner.traffic.dropped == learner.traffic.hosts_lost == 1
    for channel in (actor, own, host):
        channel.close()


def test_who_has_no_key_of_the_learners_gets_nothing(listen, guarded, tmp_path, until):
    door, guest = guarded
    learner = listen(door)
    stranger = certificates.make(guest.learner)
    of_another = certificates.read(certificates.create(tmp_path / "another", "lab2"))
    for certificate, words in (
        (stranger, "turned this key away"),
        (of_another, "turned this key away|do not speak alike"),
        (None, "do not speak alike"),
    ):
        host = HostChannel(learner.door, certificate)
        with pytest.raises(InputError, match=words):
            host.join(1, WATCHDOG_S, alive)
        host.close()
    context = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.set(zmq.LINGER, 0)
    plain.connect(learner.door)
    plain.send_multipart(wire.pack(wire.Hello(run=learner.run, actor=0, incarnation=0)))
    assert not plain.poll(500)
    plain.close()
    context.term()
    (tmp_path / "allowed" / "lab2").unlink()
    late = HostChannel(learner.door, guest)
    with pytest.raises(InputError, match="turned this key away"):
        late.join(1, WATCHDOG_S, alive)
    late.close()
    until(lambda: learner.traffic.refused >= 5)
    assert learner.hosts() == 0
    assert learner.traffic.rejected == 0  # not a byte of theirs was read


def test_strangers_with_no_key_at_all_are_counted_and_members_are_not(listen, guarded, until):
    door, guest = guarded
    learner = listen(door)
    member = HostChannel(learner.door, guest)
    member.join(1, WATCHDOG_S, alive)
    place = ("127.0.0.1", int(learner.door.rpartition(":")[2]))
    for count, greeting in enumerate((b"", b"GET / HTTP/1.1\r\n" * 8, b"\xff" * 64), 1):
        with socket.create_connection(place) as stranger:
            stranger.sendall(greeting)
        until(lambda count=count: learner.traffic.refused == count)
    member.beat()
    member.leave()
    member.close()
    until(lambda: learner.traffic.hosts_lost == 1)
    late = HostChannel(learner.door, guest)  # by its answer the end of the member was seen
    late.join(1, WATCHDOG_S, alive)
    assert learner.traffic.refused == 3 and learner.traffic.rejected == 0
    late.close()


def test_who_was_told_the_runs_name_joins_at_the_address_of_this_host(listen, guarded, until):
    door, _ = guarded
    entrances = []
    learner = listen(dataclasses.replace(door, address="", opened=entrances.append))
    (entrance,) = entrances
    assert (entrance.elsewhere, entrance.here) == ("", learner.address)
    liar = HostChannel(entrance.here, None, run=entrance.run[:-1])
    liar.offer(1)
    until(lambda: learner.traffic.rejected == 1)
    host = HostChannel(entrance.here, None, run=entrance.run)
    assert host.join(1, WATCHDOG_S, alive) == {1: -1}
    host.expect(1, 0)
    actor = ActorChannel(host.address, host.run, 1, 0)
    ticket, _ = actor.work(-1)
    actor.deliver(ticket, {}, [], {})
    assert learner.receive(WATCHDOG_S).header.number == ticket.number and host.beat() == {1}
    for channel in (actor, host, liar):
        channel.close()


def test_so_many_actors_and_no_more(listen):
    learner = listen(Door(LOOPBACK))
    hosts = [HostChannel(learner.door, None) for _ in range(5)]
    for host in hosts[:4]:
        assert len(host.join(4096, WATCHDOG_S, alive)) == 4096
    with pytest.raises(InputError, match="room for 16,384 actors"):
        hosts[4].join(1, WATCHDOG_S, alive)
    assert len(hosts[0].join(4096, WATCHDOG_S, alive)) == 4096  # they are the same ones
    for host in hosts:
        host.close()


def test_without_its_key_nobody_joins_at_the_address_of_this_hosts_actors(listen, guarded, until):
    door, _ = guarded
    learner = listen(door)
    inside = HostChannel(learner.address, None)
    version = str(code_version()["veldt"])
    inside._dealer.send_multipart(wire.pack(wire.Join(host="h", version=version, count=1)))
    until(lambda: learner.traffic.rejected == 1)
    assert learner.hosts() == 0 and not inside._dealer.poll(200)
    inside.close()


def ready(**properties):
    """ZMTP 3.0's READY of the mechanism NULL, which says what it likes."""
    body = b"\x05READY"
    for name, value in properties.items():
        name = name.replace("_", "-").encode()
        body += bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
    return bytes([4, len(body)]) + body


@pytest.mark.skipif(sys.platform != "linux", reason="its address is a file elsewhere")
def test_whoever_says_that_the_key_was_looked_at_joins_no_more_for_it(listen, guarded, until):
    door, _ = guarded
    learner = listen(door)
    stranger = socket.socket(socket.AF_UNIX)
    stranger.settimeout(WATCHDOG_S)
    stranger.connect("\0" + learner.address.removeprefix("ipc://@"))
    # Turn by turn, as peers do: libzmq may hang up on who is READY before it has greeted.
    answers = stranger.makefile("rb")
    stranger.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    assert len(answers.read(64)) == 64
    stranger.sendall(ready(Socket_Type=b"DEALER", Identity=b"me", User_Id=b"x"))
    assert answers.read(2)[0] == 4
    version = str(code_version()["veldt"])
    *heads, last = wire.pack(wire.Join(host="h", version=version, count=1))
    for more, part in [*((1, head) for head in heads), (0, last)]:
        body = bytes(memoryview(part))
        stranger.sendall(bytes([more, len(body)]) + body)
    until(lambda: learner.traffic.rejected == 1 or learner.hosts())
    assert learner.hosts() == 0
    answers.close()
    stranger.close()


@pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0, reason="root alone can be somebody else"
)
@pytest.mark.parametrize(("user", "first"), [(0, b"\xff"), (65_534, b"")])
def test_another_user_of_this_machine_is_not_even_greeted(listen, user, first):
    learner = listen(Door(LOOPBACK))
    pid = os.fork()
    if pid == 0:
        os.setuid(user)
        stranger = socket.socket(socket.AF_UNIX)
        stranger.settimeout(WATCHDOG_S)
        try:
            stranger.connect("\0" + learner.address.removeprefix("ipc://@"))
            found = stranger.recv(1)
        except ConnectionError:
            found = b""
        os._exit(found != first)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_host_speaks_for_its_own_actors_only(listen, until):
    learner = listen(Door(LOOPBACK, actors=1))
    learner.expect(0, 0)
    own = ActorChannel(learner.address, learner.run, 0, 0)
    held, _ = own.work(-1)
    host = HostChannel(learner.door, None)
    host.join(1, WATCHDOG_S, alive)
    host._dealer.send_multipart(wire.pack(wire.Expect(actor=0, incarnation=1)))
    host._dealer.send_multipart(wire.pack(wire.Expect(actor=1, incarnation=-1)))
    until(lambda: learner.traffic.rejected == 2)
    own.deliver(held, {}, [], {})
    assert learner.receive(WATCHDOG_S).header.number == held.number
    for channel in (own, host):
        channel.close()


def test_a_host_that_joins_again_gives_back_what_its_actors_were_at(listen):
    learner = listen(Door(LOOPBACK))
    other, host = HostChannel(learner.door, None), HostChannel(learner.door, None)
    assert other.join(1, WATCHDOG_S, alive) == {0: -1}
    assert host.join(1, WATCHDOG_S, alive) == {1: -1}
    host.expect(1, 0)
    actor = ActorChannel(learner.door, host.run, 1, 0)
    held, _ = actor.work(-1)
    other.leave()
    other.close()
    while learner.hosts() > 1:
        host.beat()
    assert host.join(1, WATCHDOG_S, alive) == {0: 0}  # not the number that it had
    host.expect(0, 1)
    again = ActorChannel(learner.door, host.run, 0, 1)
    assert again.work(-1)[0].number == held.number and learner.traffic.dropped == 1
    for channel in (actor, again, host):
        channel.close()


def test_what_is_wrong_at_a_host_ends_that_host_and_not_the_run(listen):
    learner = listen(Door(LOOPBACK))
    host = HostChannel(learner.door, None)
    host.join(1, WATCHDOG_S, alive)
    host.expect(0, 0)
    actor = ActorChannel(learner.door, host.run, 0, 0)
    actor.work(-1)
    actor.fault("KeyError: 'x'", "Traceback: line 7")
    with pytest.raises(CodeError, match="line 7"):
        while True:
            host.beat()
    learner.check()
    assert learner.hosts() == 0 and learner.traffic.dropped == 1
    for channel in (actor, host):
        channel.close()


def test_another_version_is_turned_away_with_both_named(listen, monkeypatch):
    from veldt.platform.channels import host_end

    learner = listen(Door(LOOPBACK))
    monkeypatch.setattr(host_end, "code_version", lambda: {"veldt": "0.0.1"})
    host = HostChannel(learner.door, None)
    with pytest.raises(InputError, match=r"runs veldt .* 0\.0\.1; install the same"):
        host.join(1, WATCHDOG_S, alive)
    host.close()


def test_a_learner_that_is_not_there_is_waited_for_so_long(listen, monkeypatch):
    from veldt.platform.channels import host_end

    monkeypatch.setattr(host_end, "SILENCE_S", 0.3)
    host = HostChannel("tcp://127.0.0.1:1", None)
    with pytest.raises(LearnerLost, match=r"no learner answered at tcp://127.0.0.1:1 for 0.5 s"):
        host.join(1, 0.5, alive)
    assert host.join(1, WATCHDOG_S, lambda: False) == {}
    host.close()


def test_a_door_that_cannot_be_opened(listen):
    learner = listen(Door(LOOPBACK))
    with pytest.raises(InputError, match=r"--listen .*in use"):
        listen(Door(learner.door))
    with pytest.raises(InputError, match="--listen tcp://nowhere.invalid:1"):
        listen(Door("tcp://nowhere.invalid:1"))
