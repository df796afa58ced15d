"""`fifobus bridge nats` shows a real nats-server each kind of secret that there is, and
lacks each right once."""

import os
import signal
import ssl
import tempfile
import unittest

from tests.bridge.bridge_site import DURABLE, Site
from tests.support import nats_keys, nats_support
from tests.support.fifobus_support import await_condition

# What BRIDGE.md says that a user needs.
PUBLISHES = (
    "edge1.orders.>",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.CONSUMER.INFO.>",
    "$JS.API.CONSUMER.MSG.NEXT.>",
    "$JS.ACK.>",
    "$JS.API.STREAM.CREATE.*",
    "$JS.API.CONSUMER.DURABLE.CREATE.>",
)
SUBSCRIBES = ("_INBOX.>",)

ADMIN = {"user": "admin", "pass": "all"}
PASSWORD = 'user = "edge"\npassword-file = "%s"'


def rights(publishes=PUBLISHES, subscribes=SUBSCRIBES):
    """A server's users: one with all rights, and one of the bridge."""

    def listed(subjects):
        return ", ".join(f'"{each}"' for each in subjects)

    return (
        "authorization { users = [ { user: admin, password: all }, "
        "{ user: edge, password: secret, permissions: { "
        f"publish: {{ allow: [{listed(publishes)}] }}, "
        f"subscribe: {{ allow: [{listed(subscribes)}] }} }} }} ] }}"
    )


def without(subject):
    return [each for each in PUBLISHES if each != subject]


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeLoginTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def secret(self, text, name="secret"):
        """A file that only its owner may read."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def check_crossing(self, cluster, site):
        """A message crosses each way."""
        site.run("pub", "orders/new", "out")
        with cluster.servers[0].connect() as nats:
            await_condition(
                lambda: [m.payload for m in nats.all_stored("ORDERS")] == [b"out"],
                "the message in ORDERS",
            )
            nats.request("prices.x", b"in")
        self.assertEqual([m["payload"] for m in site.stored("nats/**", 1)], ["in"])

    def check_login(self, server, nats, login, wrong="", reason=""):
        """Messages cross with the secret `nats`; with `wrong` it is said why not."""
        with nats_support.Cluster(1, server, login) as cluster:
            cluster.make_stream("PRICES", subjects=["prices.>"])
            urls = cluster.urls()
            if "tls-" in nats:
                urls = [url.replace("nats://", "tls://") for url in urls]
            if wrong:
                with Site(urls, DURABLE % 1, wrong) as site:
                    site.await_log("NATS cannot be connected to: why=")
                    self.assertRegex(site.log(), reason)
                    self.assertNotIn("secret\n", site.log())
            with Site(urls, DURABLE % 1, nats) as site:
                self.check_crossing(cluster, site)

    def test_user_and_password(self):
        self.check_login(
            rights(),
            PASSWORD % self.secret("secret\n"),
            ADMIN,
            PASSWORD % self.secret("guessed\n", "wrong"),
            "Authorization Violation",
        )

    def test_token(self):
        self.check_login(
            "authorization { token: secret }",
            f'token-file = "{self.secret("secret")}"',
            {"auth_token": "secret"},
            f'token-file = "{self.secret("guessed", "wrong")}"',
            "Authorization Violation",
        )

    @unittest.skipUnless(nats_keys.can_make(), "openssl is not installed")
    def test_nkey(self):
        key = nats_keys.Nkey(self.folder, "key")
        other = nats_keys.Nkey(self.folder, "other")
        self.check_login(
            f"authorization {{ users = [ {{ nkey: {key.public} }} ] }}",
            f'nkey = "{key.public}"\nnkey-file = "{self.secret(key.seed)}"',
            {"answer": lambda info: key.answer(info, nkey=key.public)},
            f'nkey = "{key.public}"\nnkey-file = "{self.secret(other.seed, "wrong")}"',
            "Authorization Violation",
        )

    @unittest.skipUnless(nats_keys.can_make(), "openssl is not installed")
    def test_credentials_file(self):
        operator = nats_keys.Operator(self.folder)
        key, token = operator.user, operator.user_token
        self.check_login(
            operator.config,
            f'credentials-file = "{self.secret(operator.credentials)}"',
            {"answer": lambda info: key.answer(info, jwt=token)},
            f'token-file = "{self.secret("guessed", "wrong")}"',
            "Authorization Violation",
        )

    @unittest.skipUnless(nats_keys.can_make(), "openssl is not installed")
    def test_tls_with_certificates_of_both_sides(self):
        nats_keys.make_certificates(self.folder)
        path = f"{self.folder}/"
        tls = ssl.create_default_context(cafile=path + "ca.pem")
        tls.load_cert_chain(path + "client.pem", path + "client-key.pem")
        server = (
            f'tls {{ cert_file: "{path}server.pem", key_file: "{path}server-key.pem", '
            f'ca_file: "{path}ca.pem", verify: true, timeout: 10 }}'
        )
        own = f'tls-cert-file = "{path}client.pem"\n'
        own += f'tls-key-file = "{path}client-key.pem"\n'
        good = f'{own}tls-ca-file = "{path}ca.pem"\ntls-host = "localhost"'
        for wrong in (
            f'{own}tls-ca-file = "{path}other-ca.pem"\ntls-host = "localhost"',
            f'{own}tls-ca-file = "{path}ca.pem"\ntls-host = "elsewhere"',
            f'tls-ca-file = "{path}ca.pem"\ntls-host = "localhost"',
        ):
            with self.subTest(wrong=wrong):
                self.check_login(server, good, {"tls": tls}, wrong, "SSL|tls-cert-file")

    def check_missing(self, config, saying):
        """What is missing is said, and waited for."""
        with nats_support.Cluster(1, config, ADMIN) as cluster:
            (server,) = cluster.servers
            cluster.make_stream("PRICES", subjects=["prices.>"])
            secret = PASSWORD % self.secret("secret")
            with Site(cluster.urls(), DURABLE % 1, secret) as site:
                # Something to send.
                site.run("pub", "orders/new", "out")
                site.await_log(saying)
                server.configure(rights())
                server.signal(signal.SIGHUP)
                site.run("pub", "orders/new", "later")
                with server.connect() as nats:
                    await_condition(
                        lambda: [m.payload for m in nats.all_stored("ORDERS")]
                        == [b"out", b"later"],
                        "the messages",
                    )
                    nats.request("prices.x", b"in")
                got = [m["payload"] for m in site.stored("nats/**", 1)]
                self.assertEqual(got, ["in"])

    def test_rights_to_publish_are_missing(self):
        for subject, saying in (
            ("edge1.orders.>", "rights to publish on edge1.orders.> may be missing"),
            ("$JS.API.STREAM.CREATE.*", "Permissions Violation for Publish"),
            ("$JS.API.CONSUMER.MSG.NEXT.>", "Permissions Violation for Publish"),
        ):
            with self.subTest(subject=subject):
                self.check_missing(rights(without(subject)), saying)

    def test_rights_to_subscribe_are_missing(self):
        self.check_missing(
            rights(subscribes=["other"]), "Permissions Violation for Subscription"
        )

    def test_consumer_of_another_kind_is_said(self):
        with nats_support.Cluster(1) as cluster:
            cluster.make_stream("PRICES", subjects=["prices.>"])
            config = {"durable_name": "edge1", "filter_subject": "prices.eur.>"}
            with cluster.servers[0].connect() as nats:
                nats.api(
                    "CONSUMER.DURABLE.CREATE.PRICES.edge1",
                    stream_name="PRICES",
                    config={**config, "ack_policy": "explicit"},
                )
                with Site(cluster.urls(), DURABLE % 1) as site:
                    site.await_log('has the filter \\"prices.eur.>\\" and not')
                    nats.api("CONSUMER.DELETE.PRICES.edge1")
                    self.check_crossing(cluster, site)


if __name__ == "__main__":
    unittest.main()
