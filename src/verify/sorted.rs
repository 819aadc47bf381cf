//! A list in the sequence of its ids, read page by page, beside another one in the same sequence.

use std::collections::VecDeque;

use uuid::Uuid;

use super::PAGE;
use crate::order::OrderId;
use crate::store::{DbError, OpenStream, OrderRow, Readers, Views};

/// Rows of a list of orders in a page: some kilobytes each.
const ROWS: usize = 1_000;

/// Where a list is read from, and in which sequence.
pub(super) trait Source {
    type Item;

    /// The next page after an id, empty at the end.
    async fn page(&self, after: Option<Uuid>) -> Result<Vec<Self::Item>, DbError>;

    fn id(item: &Self::Item) -> Uuid;
}

/// The orders of the lists.
pub(super) struct ListedOrders<'a>(pub(super) &'a Views);

impl Source for ListedOrders<'_> {
    type Item = OrderRow;

    async fn page(&self, after: Option<Uuid>) -> Result<Vec<OrderRow>, DbError> {
        self.0.orders_by_id(after.map(OrderId::new), ROWS).await
    }

    fn id(row: &OrderRow) -> Uuid {
        row.order.uuid()
    }
}

/// The streams that are to be woken.
pub(super) struct OpenStreams<'a>(pub(super) &'a Readers);

impl Source for OpenStreams<'_> {
    type Item = OpenStream;

    async fn page(&self, after: Option<Uuid>) -> Result<Vec<OpenStream>, DbError> {
        self.0.open_streams(after, PAGE).await
    }

    fn id(open: &OpenStream) -> Uuid {
        open.stream.id
    }
}

/// The list from where it was read up to.
pub(super) struct Sorted<S: Source> {
    source: S,
    page: VecDeque<S::Item>,
    after: Option<Uuid>,
    ended: bool,
}

impl<S: Source> Sorted<S> {
    pub(super) fn new(source: S) -> Self {
        Self { source, page: VecDeque::new(), after: None, ended: false }
    }

    /// The next item, if it is not past this id.
    pub(super) async fn up_to(&mut self, id: Uuid) -> Result<Option<S::Item>, DbError> {
        if self.page.is_empty() && !self.ended {
            self.page = self.source.page(self.after).await?.into();
            match self.page.back() {
                Some(last) => self.after = Some(S::id(last)),
                None => self.ended = true,
            }
        }
        Ok(self.page.pop_front_if(|item| S::id(item) <= id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(Vec<u128>);

    impl Source for Numbers {
        type Item = Uuid;

        async fn page(&self, after: Option<Uuid>) -> Result<Vec<Uuid>, DbError> {
            let ids = self.0.iter().map(|n| Uuid::from_u128(*n));
            Ok(ids.filter(|id| after.is_none_or(|after| *id > after)).take(2).collect())
        }

        fn id(item: &Uuid) -> Uuid {
            *item
        }
    }

    #[tokio::test]
    async fn what_lies_between_two_ids_comes_before_the_second() {
        let mut list = Sorted::new(Numbers(vec![1, 3, 4, 5, 9]));
        let mut up_to = async |n| {
            let mut found = Vec::new();
            while let Some(id) = list.up_to(Uuid::from_u128(n)).await.unwrap() {
                found.push(id.as_u128());
            }
            found
        };
        assert_eq!(up_to(3).await, [1, 3]);
        assert_eq!(up_to(3).await, [0_u128; 0]);
        assert_eq!(up_to(8).await, [4, 5]);
        assert_eq!(up_to(u128::MAX).await, [9]);
    }
}
