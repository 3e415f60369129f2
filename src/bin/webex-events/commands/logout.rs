//! `logout`: removes the stored tokens.

use serde_json::Map;
use webex_events::OAuth;

use crate::{cli::LogoutArgs, error::Failure, ui::messages};

pub(crate) fn run(args: &LogoutArgs) -> Result<(), Failure> {
    let store = args.oauth_store.display();
    let message = if OAuth::remove(&args.oauth_store)? {
        format!(
            "removed {store}; the service accepts its tokens until they expire, or until the authorization of the \
             integration is deleted there"
        )
    } else {
        format!("there is no token file {store}")
    };
    messages::note(&message, Map::new());
    Ok(())
}
