//! Reads the journal for the dispatch board: first what stands on offer and what riders hold, then the news.

use std::time::Duration;

use super::dispatch::Fold;
use super::follow::Follower;
use super::mailbox::Mailbox;
use super::supervision::Part;
use super::tail::News;
use crate::order::{OrderId, RiderBook, RiderEvent, replay};
use crate::store::{Readers, StreamId, StreamKind, Views};

/// Tells the dispatch board what the journal says.
pub(super) struct Board {
    pub(super) follower: Follower,
    pub(super) readers: Readers,
    pub(super) views: Views,
    pub(super) fold: Mailbox<Fold>,
}

impl Board {
    pub(super) async fn run(mut self, part: Part) {
        while let Err(error) = self.begin().await {
            tracing::error!(%error, "the dispatch board cannot be read; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        loop {
            match self.follower.next(512).await {
                Ok(entries) => {
                    crate::crash::fail("board.fold");
                    self.tell(entries.iter().map(|entry| entry.news.clone()).collect()).await;
                    part.passed(self.follower.cursor());
                }
                Err(error) => {
                    tracing::error!(%error, "the dispatch board cannot follow the journal; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// What the views say is on offer, and what riders hold; the journal's news goes on from where the views are.
    async fn begin(&self) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let page = self.views.offered(after, 500).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.mark());
            for row in &page {
                self.tell(self.offered(row.order).await?.into_iter().collect()).await;
            }
        }
        let mut after = None;
        loop {
            let page = self.readers.streams_of(StreamKind::Rider, after, 1_000).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for stream in page {
                self.tell(self.book(stream).await?.into_iter().collect()).await;
            }
        }
    }

    async fn offered(&self, id: OrderId) -> anyhow::Result<Option<News>> {
        let history = self.readers.stream(StreamId::order(id), 0).await?;
        let mut events = Vec::with_capacity(history.len());
        for row in &history {
            events.push((super::order::read(row)?, row.at));
        }
        let order = replay(id, None, events.iter().map(|(event, at)| (event, *at)))?;
        Ok(order.map(|after| News::Order { before: None, events: [].into(), after }))
    }

    async fn book(&self, stream: StreamId) -> anyhow::Result<Option<News>> {
        let mut book = RiderBook::default();
        let mut last = None;
        for row in self.readers.stream(stream, 0).await? {
            let event = RiderEvent::read(&row.name, &row.data)?;
            book = book.after(&event)?;
            last = Some(event);
        }
        Ok(last.map(|event| News::Rider { rider: stream.id, event, held: book.held().len() }))
    }

    /// The board only shows: should it be too busy to listen, this waits.
    async fn tell(&self, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        while self.fold.ask(Fold(news.clone())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
