//! `get`: writes one event by its id.

use crate::{cli::GetArgs, commands::Context, error::Failure, run::roles, service, ui::messages};

pub(crate) async fn run(get: GetArgs, context: &mut Context) -> Result<(), Failure> {
    roles::check_reader(None, &get.connection)?;
    let client = service::connect(&get.connection, &mut context.renewal)?.client;
    let event = tokio::select! {
        biased;
        code = context.shutdown.wait() => return Err(Failure::new(code, "stopped before the event arrived")),
        event = client.get(&get.id) => event?,
    };
    let line = [event.raw().as_bytes(), b"\n"].concat();
    messages::data(&line)
}
