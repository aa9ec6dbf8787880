//! Parameters of the block around: a label of such a type is seen from the block, written `_` on one method; in a `Result` they stand
//! in no one's way.

use vitalsign::{LabelValue, counted};

struct Shop<Kind>(Kind);

impl<Kind: LabelValue + Copy> Shop<Kind> {
    #[counted(name = "shop.methods", labels(kind: _ = kind))]
    fn method(&self, kind: Kind) -> Kind {
        let _ = &self.0;
        kind
    }
}

#[counted(name = "shop.blocks", labels(kind = kind))]
impl<Kind: LabelValue + Copy> Shop<Kind> {
    fn block(&self, kind: Kind) -> Kind {
        let _ = &self.0;
        kind
    }
}

struct Client<Resp, const SIZE: usize>([Resp; SIZE]);

impl<Resp: Clone, const SIZE: usize> Client<Resp, SIZE> {
    #[counted]
    fn first(&self) -> Result<Resp, String> {
        self.0.first().cloned().ok_or_else(String::new)
    }
    #[counted]
    async fn all(&self) -> Result<[Resp; SIZE], String> {
        Ok(self.0.clone())
    }
}

trait Handler<Msg> {
    #[counted]
    fn handle(&self, msg: Msg) -> std::result::Result<Msg, String> {
        Ok(msg)
    }
}

impl Handler<u8> for () {}

struct Parser<'a>(&'a str);

impl<'a> Parser<'a> {
    #[counted]
    fn next(&mut self) -> Result<(&'a str, usize), fn(&'a str)> {
        Ok((self.0, self.0.len()))
    }
    #[counted]
    fn fails(&mut self) -> Result<(), [&'a str; 1]> {
        Err([self.0])
    }
}

#[counted(name = "parser.labels", labels(kind = pair.1))]
impl<'src> Parser<'src> {
    fn label(&mut self, pair: (&'src str, bool)) -> bool {
        self.0 = pair.0;
        pair.1
    }
}

fn main() {
    let client = Client([1, 2]);
    assert_eq!(client.first(), Ok(1));
    drop(client.all());
    assert_eq!(().handle(1), Ok(1));
    let mut parser = Parser("a");
    assert!(parser.next().is_ok() && parser.fails().is_err() && parser.label(("b", true)));
    let shop = Shop(true);
    assert!(shop.method(true) && shop.block(true));
}
