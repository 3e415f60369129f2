//! `login`: gets the first tokens of an integration.

use std::{io, time::Duration};

use serde_json::Map;
use url::Url;
use webex_events::{CodeLogin, OAuth, OAuthLogin};

use crate::{
    cli::{LoginArgs, values::words},
    commands::Context,
    error::Failure,
    run::roles,
    service::{
        self,
        redirect::{Redirect, RedirectListener},
    },
    ui::{browser, human, messages, shutdown::Shutdown},
};

/// The longest line that can be pasted.
const LONGEST_LINE: u64 = 64 << 10;

pub(crate) async fn run(args: LoginArgs, context: &mut Context) -> Result<(), Failure> {
    roles::check_reader(None, &args.connection)?;
    let login = service::login(&args.connection, &args.scope.join(" "))?;
    let mut wait = Wait { shutdown: context.shutdown.clone(), timeout: args.timeout };
    let oauth = if args.device {
        by_device(login, &mut wait).await?
    } else {
        by_code(login, &args, &mut wait).await?
    };
    let store = args.connection.credentials.oauth_store.unwrap_or_default();
    let store = store.display();
    let expiry = oauth.expires_at().map_or_else(String::new, |time| {
        format!("; the access token expires {} and is renewed", human::instant(time))
    });
    note(&format!("the tokens are in {store}{expiry}; check it: webex-events doctor --oauth-store {store}"));
    Ok(())
}

/// The limits of a wait for a person.
struct Wait {
    shutdown: Shutdown,
    timeout: Duration,
}

impl Wait {
    /// Waits for `decision`.
    async fn until<T>(
        &mut self,
        redirect_uri: Option<&str>,
        decision: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            code = self.shutdown.wait() => {
                Err(Failure::new(code, "stopped before the login was complete; nothing was stored"))
            }
            decided = decision => Ok(decided),
            () = tokio::time::sleep(self.timeout) => Err(Failure::undecided(self.timeout, redirect_uri)),
        }
    }
}

async fn by_code(login: OAuthLogin, args: &LoginArgs, wait: &mut Wait) -> Result<OAuth, Failure> {
    let uri = format!("http://127.0.0.1:{}/callback", args.redirect_port);
    let failed = |error| Failure::login(&error, Some(&uri));
    if args.no_browser {
        let login = login.by_code(&uri).map_err(failed)?;
        note("open this page in a browser on any machine, and allow the access:");
        messages::data(format!("{}\n", login.url()).as_bytes())?;
        note(
            "the browser then tries to open another page, which may fail; paste its URL, or the code in it:",
        );
        let line = wait.until(Some(&uri), line()).await?.map_err(|error| Failure::stdin(&error))?;
        return wait.until(Some(&uri), login.finish(&line)).await?.map_err(failed);
    }
    let mut listener = RedirectListener::bind(args.redirect_port).await?;
    let login = login.by_code(&uri).map_err(failed)?;
    note("open this page in a browser on this machine, and allow the access:");
    messages::data(format!("{}\n", login.url()).as_bytes())?;
    if browser::open(login.url()).await {
        note("the page is open in the browser");
    }
    let redirect = wait.until(Some(&uri), own_redirect(&mut listener, &login)).await?;
    let result = wait.until(Some(&uri), login.finish(&redirect.url)).await?;
    redirect.respond(result.is_ok()).await;
    result.map_err(failed)
}

/// Waits for the redirect of this login. Every page in a browser can request the redirect URI, so that others are ignored.
async fn own_redirect(listener: &mut RedirectListener, login: &CodeLogin) -> Redirect {
    let mut has_warned = false;
    loop {
        let redirect = listener.next().await;
        if state(&redirect.url) == state(login.url()) {
            return redirect;
        }
        if !has_warned {
            has_warned = true;
            messages::warning(
                "the browser came back from another login, which is ignored: its `state` differs; allow the access on \
                 the page above",
                Map::new(),
            );
        }
    }
}

/// The `state` in a URL.
fn state(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    url.query_pairs().find(|(name, _)| name == "state").map(|(_, value)| value.into_owned())
}

async fn by_device(login: OAuthLogin, wait: &mut Wait) -> Result<OAuth, Failure> {
    let failed = |error| Failure::login(&error, None);
    let device = wait.until(None, login.by_device()).await?.map_err(failed)?;
    let lifetime = words(device.expires_in());
    note(&format!("within {lifetime}, open this page on any device, enter the code, and allow the access:"));
    messages::data(format!("{}\n{}\n", device.url(), device.user_code()).as_bytes())?;
    if let Some(url) = device.complete_url() {
        note(&format!("or open this page, which has the code: {url}"));
    }
    wait.until(None, device.finish()).await?.map_err(failed)
}

/// Reads a line of stdin.
async fn line() -> io::Result<String> {
    let read = || {
        use io::{BufRead, Read};
        let mut line = Vec::new();
        io::stdin().lock().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        // A text that isn't UTF-8 is no code.
        Ok(String::from_utf8_lossy(&line).into_owned())
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

fn note(message: &str) {
    messages::note(message, Map::new());
}
