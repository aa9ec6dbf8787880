//! `async_trait` above and below, on the trait and on the implementation.
#![deny(warnings)]
#![forbid(unsafe_code)]

use async_trait::async_trait;
use vitalsign::{counted, observed, timed, traced};

#[async_trait]
trait Load: Sync {
    async fn load(&self, id: u8) -> Result<u8, String>;
    #[observed]
    async fn load_all<'a>(&self, ids: &'a [u8]) -> Result<&'a [u8], String> {
        for id in ids {
            self.load(*id).await?;
        }
        Ok(ids)
    }
}

struct Inside;

#[async_trait]
impl Load for Inside {
    #[traced]
    #[counted]
    #[timed]
    async fn load(&self, id: u8) -> Result<u8, String> {
        if id == 0 {
            return Err("zero".into());
        }
        Ok(id)
    }
}

struct Above;

#[traced]
#[counted]
#[async_trait]
impl Load for Above {
    #[timed]
    async fn load(&self, id: u8) -> Result<u8, String> {
        let half: u8 = "2".parse().map_err(|_| String::new())?;
        Ok(id / half)
    }
}

struct Below;

#[async_trait]
#[observed]
impl Load for Below {
    async fn load(&self, id: u8) -> Result<u8, String> {
        Ok(id)
    }
}

#[observed]
#[async_trait(?Send)]
trait Local {
    async fn local(&self) -> u8 {
        1
    }
}
impl Local for Inside {}

struct Session {
    id: u64,
    name: String,
}

/// What `async_trait` takes apart in the block is seen as it was written.
#[async_trait]
trait Login {
    async fn login(&self, user: (String, String), session: Session, size: (u64, u8), _: u8) -> u64;
}

fn twice(number: u64) -> u64 {
    2 * number
}

#[async_trait]
impl Login for Inside {
    #[traced(args, skip(password), fields(name = %name, twice = twice(id)))]
    #[counted(by = width)]
    async fn login(&self, (user, password): (String, String), Session { id, name }: Session, (mut width, _): (u64, u8), _: u8) -> u64 {
        width += id;
        width + (user.len() + password.len() + name.len()) as u64
    }
}

#[traced(args, skip(password), fields(name = %name, twice = twice(id)))]
#[async_trait]
impl Login for Above {
    async fn login(&self, (user, password): (String, String), Session { id, name }: Session, (width, _): (u64, u8), _: u8) -> u64 {
        width + id + (user.len() + password.len() + name.len()) as u64
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let all: [Box<dyn Load>; 3] = [Box::new(Inside), Box::new(Above), Box::new(Below)];
    for load in &all {
        assert_eq!(load.load_all(&[4]).await.unwrap(), [4]);
    }
    assert!(Inside.load(0).await.is_err());
    assert_eq!(Inside.local().await, 1);
    let capture = vitalsign::testing::capture();
    let logins: [Box<dyn Login>; 2] = [Box::new(Inside), Box::new(Above)];
    for login in &logins {
        let session = Session { id: 7, name: "tea".into() };
        assert_eq!(login.login(("ada".into(), "hunter2".into()), session, (2, 3), 4).await, 22);
    }
    let spans = capture.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        let shown = format!("{span:?}");
        let has = |text: &str| shown.contains(text);
        assert!(has("ada") && has("tea") && has("twice") && has("14") && has("width"), "{shown}");
        assert!(!has("hunter2") && !has("__arg"), "{shown}");
    }
}
