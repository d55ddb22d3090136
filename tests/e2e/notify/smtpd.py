"""A server of SMTP. Prints its port, then each message that it takes as a line of JSON.

smtpd.py KIND CERTIFICATE KEY LOGIN: KIND is plain, starttls or tls; LOGIN is user:password or -.
A recipient that begins with `unknown` is refused for good, one with `later` for now.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

kind, certificate, key, login = sys.argv[1:]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown"):
            return "550 5.1.1 no such user"
        if address.startswith("later"):
            return "451 4.7.1 greylisted, come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        print(
            json.dumps(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "tls": session.ssl is not None or kind == "tls",
                    "login": bool(session.authenticated),
                    "text": envelope.content.decode("utf-8", "replace"),
                }
            ),
            flush=True,
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    given = f"{data.login.decode()}:{data.password.decode()}"
    return AuthResult(success=given == login, handled=False)


context = None
if kind != "plain":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)


async def main():
    def session():
        return SMTP(
            Handler(),
            enable_SMTPUTF8=True,
            tls_context=context if kind == "starttls" else None,
            require_starttls=kind == "starttls",
            auth_required=login != "-",
            auth_require_tls=kind == "starttls",
            authenticator=authenticate if login != "-" else None,
        )

    server = await asyncio.get_running_loop().create_server(
        session, "127.0.0.1", 0, ssl=context if kind == "tls" else None
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
