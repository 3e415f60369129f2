//! `get`: one event by its id.

use std::io;

use crate::{
    cli::Get,
    error::{Code, Failure},
    service,
    ui::{messages, shutdown::Stop},
};

pub(crate) async fn run(get: Get, mut stop: Stop) -> Result<(), Failure> {
    let client = service::service(&get.connection)?.client;
    let event = tokio::select! {
        biased;
        code = stop.wait() => return Err(Failure::new(code, "stopped before the event came")),
        event = client.get(&get.id) => event.map_err(|error| Failure::of(&error, None))?,
    };
    let line = [event.raw().as_bytes(), b"\n"].concat();
    match messages::data(&line) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Output, format!("stdout can't be written: {error}")))
        }
        _ => Ok(()),
    }
}
