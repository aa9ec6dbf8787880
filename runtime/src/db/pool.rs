//! The wrapper around sqlx's pools and connections.

use super::operation::{Operation, Target};
use super::statement::commented;
use crate::export::snapshot::{Family, Kind, Number, Point, PointValue};
use crate::metrics::registry;
use crate::switch;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::error::BoxDynError;
use sqlx::{AssertSqlSafe, Database, Either, Error, Execute, Executor, Pool, SqlSafeStr, SqlStr};
use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// A pool of sqlx whose statements are spans and measured; a clone is the same pool.
///
/// Wherever sqlx takes `&Pool` it takes `&TracedPool`. In a transaction say `pool.traced(&mut *transaction)`.
pub struct TracedPool<DB: Database> {
    inner: Arc<Inner<DB>>,
    settings: Settings,
}

struct Inner<DB: Database> {
    pool: Pool<DB>,
    name: String,
}

#[derive(Clone, Debug)]
struct Settings {
    target: Target,
    comments: bool,
}

impl<DB: Database> Clone for TracedPool<DB> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: self.settings.clone(),
        }
    }
}

impl<DB: Database> Debug for TracedPool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedPool")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl<DB: Database> TracedPool<DB> {
    /// Wraps a pool. The name tells it from others in the gauges of its connections.
    pub fn new(name: impl Into<String>, pool: Pool<DB>) -> Self {
        let inner = Arc::new(Inner {
            pool,
            name: name.into(),
        });
        registry::register(Arc::new(Connections(Arc::downgrade(&inner))));
        Self {
            inner,
            settings: Settings {
                target: Target::of(DB::NAME),
                comments: false,
            },
        }
    }

    /// Which server this is: `server.address` and `server.port`.
    #[must_use]
    pub fn server(mut self, address: &str, port: u16) -> Self {
        self.settings.target.address = Some(address.into());
        self.settings.target.port = Some(port);
        self
    }

    /// Which database of that server: `db.namespace`.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.settings.target.namespace = Some(namespace.into());
        self
    }

    /// Appends `/*traceparent='…'*/` to each statement (sqlcommenter), so that the server's own logs lead to the trace. Each
    /// statement is then another one to the server: none stays prepared.
    #[must_use]
    pub fn comments(mut self, on: bool) -> Self {
        self.settings.comments = on;
        self
    }

    /// The pool itself, for what shall not be a span.
    pub fn pool(&self) -> &Pool<DB> {
        &self.inner.pool
    }

    /// Statements on this connection or transaction as those on the pool.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(pool: vitalsign::db::TracedPool<sqlx::Sqlite>) -> Result<(), sqlx::Error> {
    /// let mut transaction = pool.pool().begin().await?;
    /// sqlx::query("DELETE FROM orders").execute(pool.traced(&mut *transaction)).await?;
    /// transaction.commit().await
    /// # }
    /// ```
    pub fn traced<E>(&self, executor: E) -> Traced<'_, E> {
        Traced {
            executor,
            settings: &self.settings,
        }
    }
}

/// An executor of sqlx whose statements are spans; made by [`TracedPool::traced`].
#[derive(Debug)]
pub struct Traced<'s, E> {
    executor: E,
    settings: &'s Settings,
}

impl<'c, 's: 'c, E> Executor<'c> for Traced<'s, E>
where
    E: Executor<'c>,
{
    type Database = E::Database;

    fn fetch_many<'e, 'q: 'e, Q>(
        self,
        query: Q,
    ) -> BoxStream<'e, Result<Either<<E::Database as Database>::QueryResult, <E::Database as Database>::Row>, Error>>
    where
        'c: 'e,
        Q: 'q + Execute<'q, E::Database>,
    {
        if !switch::on() {
            return self.executor.fetch_many(query);
        }
        let (query, mut operation) = Taken::apart(query, self.settings);
        let inner = {
            let _entered = operation.enter();
            self.executor.fetch_many(query)
        };
        Box::pin(Rows {
            inner,
            operation: Some(operation),
        })
    }

    fn fetch_optional<'e, 'q: 'e, Q>(
        self,
        query: Q,
    ) -> BoxFuture<'e, Result<Option<<E::Database as Database>::Row>, Error>>
    where
        'c: 'e,
        Q: 'q + Execute<'q, E::Database>,
    {
        if !switch::on() {
            return self.executor.fetch_optional(query);
        }
        let (query, mut operation) = Taken::apart(query, self.settings);
        let mut inner = {
            let _entered = operation.enter();
            self.executor.fetch_optional(query)
        };
        Box::pin(async move {
            let result = poll_fn(|cx| {
                let _entered = operation.enter();
                inner.as_mut().poll(cx)
            })
            .await;
            match &result {
                Ok(row) => {
                    if row.is_some() {
                        operation.row();
                    }
                    operation.done();
                }
                Err(error) => operation.failed(error),
            }
            result
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [<E::Database as Database>::TypeInfo],
    ) -> BoxFuture<'e, Result<<E::Database as Database>::Statement, Error>>
    where
        'c: 'e,
    {
        self.executor.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<E::Database>, Error>>
    where
        'c: 'e,
    {
        self.executor.describe(sql)
    }
}

impl<'p, DB: Database> Executor<'p> for &'p TracedPool<DB>
where
    &'p Pool<DB>: Executor<'p, Database = DB>,
{
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, Q>(self, query: Q) -> BoxStream<'e, Result<Either<DB::QueryResult, DB::Row>, Error>>
    where
        'p: 'e,
        Q: 'q + Execute<'q, DB>,
    {
        self.traced(&self.inner.pool).fetch_many(query)
    }

    fn fetch_optional<'e, 'q: 'e, Q>(self, query: Q) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'p: 'e,
        Q: 'q + Execute<'q, DB>,
    {
        self.traced(&self.inner.pool).fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'p: 'e,
    {
        (&self.inner.pool).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<DB>, Error>>
    where
        'p: 'e,
    {
        (&self.inner.pool).describe(sql)
    }
}

/// A query in its parts: asking one for its text takes it.
struct Taken<DB: Database> {
    sql: SqlStr,
    arguments: Option<Result<Option<DB::Arguments>, BoxDynError>>,
    persistent: bool,
}

impl<DB: Database> Taken<DB> {
    fn apart<'q>(mut query: impl Execute<'q, DB>, settings: &Settings) -> (Self, Operation) {
        let arguments = query.take_arguments();
        let mut persistent = query.persistent();
        let mut sql = query.sql();
        let operation = Operation::begin(sql.as_str(), &settings.target);
        if settings.comments
            && let Some(context) = operation.context()
            && let Cow::Owned(commented) = commented(sql.as_str(), &context)
        {
            sql = AssertSqlSafe(commented).into_sql_str();
            persistent = false;
        }
        let taken = Self {
            sql,
            arguments: Some(arguments),
            persistent,
        };
        (taken, operation)
    }
}

impl<DB: Database> Execute<'_, DB> for Taken<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        self.arguments.take().unwrap_or(Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// Rows, until the last one or until nobody wants more.
struct Rows<'e, T> {
    inner: BoxStream<'e, Result<T, Error>>,
    operation: Option<Operation>,
}

impl<R, W> Stream for Rows<'_, Either<R, W>> {
    type Item = Result<Either<R, W>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let polled = {
            let _entered = this.operation.as_mut().map(Operation::enter);
            this.inner.as_mut().poll_next(cx)
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(step))) => {
                if let (Either::Right(_), Some(operation)) = (step, &mut this.operation) {
                    operation.row();
                }
            }
            Poll::Ready(Some(Err(error))) => {
                if let Some(operation) = this.operation.take() {
                    operation.failed(error);
                }
            }
            Poll::Ready(None) => {
                if let Some(operation) = this.operation.take() {
                    operation.done();
                }
            }
        }
        polled
    }
}

/// The gauges of a pool, for as long as it lives.
struct Connections<DB: Database>(Weak<Inner<DB>>);

impl<DB: Database> registry::Source for Connections<DB> {
    fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    fn families(&self, out: &mut Vec<Family>) {
        let Some(inner) = self.0.upgrade() else { return };
        let (size, idle) = (i64::from(inner.pool.size()), inner.pool.num_idle() as i64);
        let point = |state: Option<&'static str>, value| {
            let mut labels = vec![("db.client.connection.pool.name".into(), inner.name.clone().into())];
            if let Some(state) = state {
                labels.push(("db.client.connection.state".into(), state.into()));
            }
            Point {
                labels: labels.into(),
                value: PointValue::number(Number::I64(value)),
                typed: 0,
                start_unix_nanos: registry::started(),
            }
        };
        let family = |name: &'static str, help: &'static str, points| Family {
            name: name.into(),
            help: help.into(),
            unit: "{connection}".into(),
            kind: Kind::UpDownCounter,
            observed: false,
            scope: Vec::new(),
            points,
        };
        out.push(family(
            "db.client.connection.count",
            "Connections of the pool, by state.",
            vec![point(Some("idle"), idle), point(Some("used"), (size - idle).max(0))],
        ));
        out.push(family(
            "db.client.connection.max",
            "The most connections that the pool opens.",
            vec![point(None, i64::from(inner.pool.options().get_max_connections()))],
        ));
    }
}
