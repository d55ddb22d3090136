//! E-mail by SMTP: TLS from the first byte (`smtps`) or by STARTTLS (`smtp`), plain text and HTML,
//! and a Message-ID that is the same in every attempt.

use std::time::Duration;

use lettre::address::Address as Mailbox;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox as Named, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret as _, SecretString};
use sitewatch::deny::DenyNetworks;
use sitewatch::words::{printable, shortened};

use super::address::login;
use super::network::addresses;
use super::{Address, Receiver, Refusal};
use crate::message::Message;

const WANTS: &str = "wants smtp://user:password@host:587?from=alerts@example.org&to=a@example.org,b@example.org (smtps://… for TLS from the first byte)";

/// Whether the connection is encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// From the first byte.
    Tls,
    /// Once the server was greeted; a server that does not offer it is left.
    StartTls,
    /// Not at all: for a server on this machine.
    Never,
}

/// The server, and between whom it carries messages.
pub(super) struct Email {
    host: String,
    port: u16,
    encryption: Encryption,
    login: Option<(String, SecretString)>,
    from: Named,
    to: Vec<Mailbox>,
    timeout: Duration,
    deny: DenyNetworks,
}

impl Email {
    /// Reads `from=`, `to=` and `tls=` of the query.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(super) fn new(address: &Address<'_>) -> Result<Self, String> {
        let url = &address.url;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| WANTS.to_owned())?;
        let encryption = match (address.kind, address.query("tls").as_deref()) {
            ("smtps", None) => Encryption::Tls,
            ("smtp", None | Some("starttls")) => Encryption::StartTls,
            ("smtp", Some("never")) => Encryption::Never,
            _ => return Err("tls= wants starttls or never, and only with smtp://".to_owned()),
        };
        let login = login(url).map(|(user, password)| (user, password.unwrap_or_default().into()));
        if login.is_some() && encryption == Encryption::Never {
            return Err("would send its password unencrypted: tls=never wants no login".to_owned());
        }
        let from = address.query("from").ok_or_else(|| WANTS.to_owned())?;
        let from = from
            .parse()
            .map_err(|_| "from= is no mail address".to_owned())?;
        let to = address.query("to").ok_or_else(|| WANTS.to_owned())?;
        let to = to
            .split(',')
            .map(|one| one.trim().parse())
            .collect::<Result<Vec<Mailbox>, _>>()
            .map_err(|_| "to= holds what is no mail address".to_owned())?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(match encryption {
                Encryption::Tls => 465,
                Encryption::StartTls => 587,
                Encryption::Never => 25,
            }),
            encryption,
            login,
            from,
            to,
            timeout: address.timeout,
            deny: address.network.deny.clone(),
        })
    }

    fn connect(&self) -> Result<SmtpConnection, Refusal> {
        let refused = |error: Error| Refusal::of_channel(describe(&error));
        let hello = ClientId::Domain(self.from.email.domain().to_owned());
        let tls = TlsParameters::new(self.host.clone()).map_err(refused)?;
        let from_first_byte = (self.encryption == Encryption::Tls).then_some(&tls);
        let mut connection = SmtpConnection::connect(
            addresses(&self.deny, &self.host, self.port)?.as_slice(),
            Some(self.timeout),
            &hello,
            from_first_byte,
            None,
        )
        .map_err(refused)?;
        if self.encryption == Encryption::StartTls {
            if !connection.can_starttls() {
                connection.abort();
                return Err(Refusal::of_channel("it offers no STARTTLS"));
            }
            connection.starttls(&tls, &hello).map_err(refused)?;
        }
        if let Some((user, password)) = &self.login {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .map_err(|error| {
                    // The answer to a login may repeat it.
                    let status = error
                        .status()
                        .map_or_else(String::new, |code| format!(" ({code})"));
                    Refusal::of_channel(format!("it did not let us log in{status}"))
                })?;
        }
        Ok(connection)
    }

    fn mail(&self, message: &Message) -> Result<Vec<u8>, Refusal> {
        let domain = self.from.email.domain();
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .message_id(Some(format!("<{}@{domain}>", message.key)))
            .references(format!("<{}@{domain}>", message.thread))
            .subject(message.title())
            .header(AutoSubmitted);
        for one in &self.to {
            mail = mail.to(one.clone().into());
        }
        mail.multipart(MultiPart::alternative_plain_html(
            message.text(),
            html(message),
        ))
        .map(|mail| mail.formatted())
        .map_err(|error| Refusal::of_message(format!("it cannot be written: {error}")))
    }
}

impl Receiver for Email {
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let mail = self.mail(message)?;
        let mut connection = self.connect()?;
        let outcome = self.hand_over(&mut connection, &mail);
        if outcome.is_ok() {
            // It has the mail: how it says goodbye does not matter.
            connection.quit().ok();
        } else {
            connection.abort();
        }
        outcome
    }
}

impl Email {
    /// Whoever the server does not know is told of, and does not keep it from the others. Whom it
    /// wants to be asked for again later keeps it from all: nobody must get it twice.
    fn hand_over(&self, connection: &mut SmtpConnection, mail: &[u8]) -> Result<(), Refusal> {
        let of_channel = |error: Error| Refusal::of_channel(describe(&error));
        connection
            .command(Mail::new(Some(self.from.email.clone()), vec![]))
            .map_err(of_channel)?;
        let mut unknown = Vec::new();
        for one in &self.to {
            match connection.command(Rcpt::new(one.clone(), vec![])) {
                Ok(_) => {}
                Err(error) if error.is_permanent() => {
                    unknown.push(format!("{one}: {}", describe(&error)));
                }
                Err(error) => return Err(of_channel(error)),
            }
        }
        if unknown.len() == self.to.len() {
            return Err(Refusal::of_message(format!(
                "it takes mail for none of the recipients: {}",
                unknown.join("; ")
            )));
        }
        connection.command(Data).map_err(of_channel)?;
        connection.message(mail).map_err(|error| {
            if error.is_permanent() {
                Refusal::of_message(describe(&error))
            } else {
                of_channel(error)
            }
        })?;
        for one in unknown {
            log::warn!("e-mail was refused for {one}; the other recipients have it");
        }
        Ok(())
    }
}

/// Keeps holiday notices from answering (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// What the server said, or why it was not reached.
fn describe(error: &Error) -> String {
    use std::error::Error as _;
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let cause = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let cause = if error.is_tls() {
        format!("no TLS: {}", sitewatch::tls::reason_in(&cause))
    } else {
        match error.status() {
            Some(code) => format!("{code} {cause}"),
            None => cause,
        }
    };
    shortened(&printable(&cause), 300).into_owned()
}

fn html(message: &Message) -> String {
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
    };
    let lines: Vec<String> = message.lines().iter().map(|line| escape(line)).collect();
    format!(
        "<!doctype html><html><body><h2>{}</h2><p>{}</p></body></html>",
        escape(&message.title()),
        lines.join("<br>\n")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use url::Url;

    use super::*;
    use crate::channel::Network;
    use crate::event::Event;
    use crate::message::tests::about;

    fn email(text: &str) -> Result<Email, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        let kind = text.split("://").next().unwrap_or_default();
        Email::new(&Address {
            kind,
            url,
            timeout: Duration::from_secs(1),
            options: BTreeMap::new(),
            network: &Network::default(),
        })
    }

    #[test]
    fn addresses_of_servers() {
        for (text, problem) in [
            (
                "smtp://u:p@mail.example?from=a@example.org&to=b@example.org",
                None,
            ),
            (
                "smtps://mail.example:4465?from=Alerts <a@example.org>&to=b@example.org, c@example.org",
                None,
            ),
            (
                "smtp://mail.example?tls=never&from=a@example.org&to=b@example.org",
                None,
            ),
            (
                "smtp://u:p@mail.example?tls=never&from=a@example.org&to=b@example.org",
                Some("unencrypted"),
            ),
            (
                "smtps://mail.example?tls=never&from=a@example.org&to=b@example.org",
                Some("tls= wants"),
            ),
            (
                "smtp://mail.example?from=a@example.org",
                Some("wants smtp://"),
            ),
            (
                "smtp://mail.example?from=a@example.org&to=b",
                Some("to= holds"),
            ),
            (
                "smtp://mail.example?from=@&to=b@example.org",
                Some("from= is"),
            ),
        ] {
            match (email(text), problem) {
                (Ok(_), None) => {}
                (Err(why), Some(part)) => assert!(why.contains(part), "{text}: {why}"),
                (found, _) => panic!("{text}: {:?}", found.err()),
            }
        }
    }

    #[test]
    fn a_mail_has_both_parts_and_the_key_for_its_id() {
        let email = email("smtp://h?from=a@example.org&to=b@example.org,c@example.org");
        let mail = email
            .expect("an address")
            .mail(&about(Event::Down, 1))
            .expect("a mail");
        let mail = String::from_utf8_lossy(&mail);
        for part in [
            "Message-ID: <00000000-0000-0000-0000-000000000007@example.org>\r\n",
            "References: <00000000-0000-0000-0000-000000000009@example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Subject: DOWN: shop <&> *1*\r\n",
            "To: b@example.org, c@example.org\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "<h2>DOWN: shop &lt;&amp;&gt; *1*</h2>",
        ] {
            assert!(mail.contains(part), "{part:?} in\n{mail}");
        }
    }
}
