use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use millstream_app::progress::Bars;
use millstream_app::serve;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::parts::Part;

/// The pages that are up while the demo runs.
pub struct Pages {
    /// What is where, as lines to print.
    pub lines: Vec<String>,
    serving: JoinSet<Result<()>>,
    stop: CancellationToken,
}

impl Pages {
    /// Puts up the pages of every app that has some, and the console. Where a port is taken, the next free one
    /// is used: a demo is not to fail because of somebody else's program.
    pub async fn start(parts: &[Part], bars: &Bars) -> Result<Self> {
        let (mut serving, stop) = (JoinSet::new(), CancellationToken::new());
        let mut lines = Vec::new();
        for Part { setup } in parts.iter().filter(|part| part.setup.app.serve.is_some()) {
            let listener = millstream_web::bind(serve::address(setup)?, true)
                .await
                .with_context(|| format!("serve {}", setup.app.name))?;
            lines.push(format!("{:8} http://{}/", setup.app.name, listener.local_addr()?));
            let (setup, stop) = (setup.clone(), stop.clone());
            serving.spawn(async move { serve::on(&setup, listener, stop, |_| {}).await });
        }
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, millstream_console::PORT));
        let listener = millstream_web::bind(wanted, true).await.context("serve the console")?;
        lines.push(format!("{:8} http://{}/", "console", listener.local_addr()?));
        let (topics, until) = (parts[0].setup.topics.clone(), stop.clone());
        serving.spawn(async move {
            let served = millstream_console::serve(listener, topics, None, until).await;
            served.context("serve the console")
        });
        lines.iter().for_each(|line| bars.println(line));
        Ok(Self { lines, serving, stop })
    }

    pub async fn close(mut self) -> Result<()> {
        self.stop.cancel();
        let mut ended = Ok(());
        while let Some(one) = self.serving.join_next().await {
            ended = ended.and(one.context("serve a page").flatten());
        }
        ended
    }
}
