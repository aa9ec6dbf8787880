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

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let all: [Box<dyn Load>; 3] = [Box::new(Inside), Box::new(Above), Box::new(Below)];
    for load in &all {
        assert_eq!(load.load_all(&[4]).await.unwrap(), [4]);
    }
    assert!(Inside.load(0).await.is_err());
    assert_eq!(Inside.local().await, 1);
}
