use super::identity::Identity;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, PeerMisbehaved};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Which side of a TLS connection is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// Takes what records held, one by one.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

/// One TLS 1.3 connection without its I/O.
pub struct Session {
    connection: Either,
    protocol: Vec<u8>,
    pub secured: bool,
    /// The other has closed it in order (close_notify).
    pub closed: bool,
}

enum Either {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What both sides have in common, which rustls offers for each by itself.
trait Unbuffered {
    type Data;
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Unbuffered for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Unbuffered for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Session {
    pub fn new(side: Side, identity: &Identity) -> Result<Self, Error> {
        let connection = match side {
            // the name is not sent
            Side::Client => Either::Client(Box::new(UnbufferedClientConnection::new(
                Arc::clone(&identity.client),
                ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST)),
            )?)),
            Side::Server => Either::Server(Box::new(UnbufferedServerConnection::new(Arc::clone(
                &identity.server,
            ))?)),
        };
        let (protocol, secured, closed) = (identity.protocol.clone(), false, false);
        Ok(Self { connection, protocol, secured, closed })
    }

    /// Takes all whole records off the front of `incoming`: what they held is given to `plain`, what TLS has to say to
    /// `out`. Returns how many bytes were taken; the rest must come again in front of what follows.
    ///
    /// # Errors
    /// No agreement or a false record. `out` then ends with the alert for the other side.
    pub fn open(
        &mut self,
        incoming: &mut [u8],
        plain: Sink<'_>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let turn = Records { plain, out, closed: &mut self.closed };
        let (taken, ready) = match &mut self.connection {
            Either::Client(client) => turn.take(&mut **client, incoming)?,
            Either::Server(server) => turn.take(&mut **server, incoming)?,
        };
        if ready && !self.secured {
            self.agree()?;
        }
        Ok(taken)
    }

    /// The other's certificate, DER, once TLS has agreed.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let chain = match &self.connection {
            Either::Client(client) => client.peer_certificates(),
            Either::Server(server) => server.peer_certificates(),
        };
        Some(chain?.first()?.to_vec())
    }

    /// Encrypts into `sealed` and returns the length; control messages that must go first are appended to `out`. `held` is
    /// what `open` left.
    ///
    /// # Errors
    /// The buffer is too small (22 bytes for each 16 KiB, and some room for a key update), or the keys are used up.
    pub fn seal(
        &mut self,
        plain: &[u8],
        held: &mut [u8],
        out: &mut Vec<u8>,
        sealed: &mut [u8],
    ) -> Result<usize, Error> {
        match &mut self.connection {
            Either::Client(client) => {
                write(&mut **client, held, out, |mut writer| writer.encrypt(plain, sealed))
            }
            Either::Server(server) => {
                write(&mut **server, held, out, |mut writer| writer.encrypt(plain, sealed))
            }
        }
    }

    /// The orderly end of our direction, put into `sealed`; returns its length.
    pub fn close(
        &mut self,
        held: &mut [u8],
        out: &mut Vec<u8>,
        sealed: &mut [u8],
    ) -> Result<usize, Error> {
        match &mut self.connection {
            Either::Client(client) => {
                write(&mut **client, held, out, |mut writer| writer.queue_close_notify(sealed))
            }
            Either::Server(server) => {
                write(&mut **server, held, out, |mut writer| writer.queue_close_notify(sealed))
            }
        }
    }

    fn agree(&mut self) -> Result<(), Error> {
        let protocol = match &self.connection {
            Either::Client(client) => client.alpn_protocol(),
            Either::Server(server) => server.alpn_protocol(),
        };
        // who offers no protocol at all is let through by TLS itself
        if protocol != Some(&*self.protocol) {
            return Err(Error::NoApplicationProtocol);
        }
        self.secured = true;
        Ok(())
    }
}

/// Where records go.
struct Records<'a> {
    plain: Sink<'a>,
    out: &'a mut Vec<u8>,
    closed: &'a mut bool,
}

impl Records<'_> {
    /// How many bytes were taken, and whether traffic may flow.
    fn take<U: Unbuffered>(
        self,
        connection: &mut U,
        incoming: &mut [u8],
    ) -> Result<(usize, bool), Error> {
        let mut at = 0;
        loop {
            let UnbufferedStatus { mut discard, state } = connection.process(&mut incoming[at..]);
            let ready = match state {
                Err(error) => {
                    at += discard;
                    say_alert(connection, &mut incoming[at..], self.out);
                    return Err(error);
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        (self.plain)(record.payload);
                    }
                    None
                }
                Ok(ConnectionState::EncodeTlsData(message)) => {
                    encode(message, self.out)?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(message)) => {
                    message.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    *self.closed = true;
                    None
                }
                Ok(ConnectionState::BlockedHandshake) => Some(false),
                Ok(ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => Some(true),
                Ok(_) => return Err(PeerMisbehaved::EarlyDataExtensionWithoutResumption.into()),
            };
            at += discard;
            if let Some(ready) = ready {
                return Ok((at, ready));
            }
        }
    }
}

/// Lets TLS say what it must and then `write`, which returns how many bytes it made.
fn write<U: Unbuffered>(
    connection: &mut U,
    held: &mut [u8],
    out: &mut Vec<u8>,
    write: impl FnOnce(WriteTraffic<'_, U::Data>) -> Result<usize, EncryptError>,
) -> Result<usize, Error> {
    loop {
        let UnbufferedStatus { discard, state } = connection.process(held);
        // whole records were all taken when they came
        if discard != 0 {
            return Err(Error::General("records were left behind".into()));
        }
        match state? {
            ConnectionState::EncodeTlsData(message) => encode(message, out)?,
            ConnectionState::TransmitTlsData(message) => message.done(),
            ConnectionState::WriteTraffic(writer) => {
                return write(writer).map_err(|error| Error::General(error.to_string()));
            }
            ConnectionState::PeerClosed => {}
            state => return Err(Error::General(format!("nothing can be written now: {state:?}"))),
        }
    }
}

fn encode<D>(mut message: EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> Result<(), Error> {
    let Err(EncodeError::InsufficientSize(short)) = message.encode(&mut []) else {
        return Ok(()); // an empty message
    };
    let start = out.len();
    out.resize(start + short.required_size, 0);
    message.encode(&mut out[start..]).map(drop).map_err(|error| Error::General(error.to_string()))
}

/// After an error the connection still has an alert to say; asked once more than that, it would take up the bad record again.
fn say_alert<U: Unbuffered>(connection: &mut U, rest: &mut [u8], out: &mut Vec<u8>) {
    if let Ok(ConnectionState::EncodeTlsData(message)) = connection.process(rest).state {
        let _ = encode(message, out); // it is a courtesy
    }
}
