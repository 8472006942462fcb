-- Made after the rows are in: building an index once is cheaper than keeping it during a load.

create index on saas.plans (updated_at);
create index on saas.customers (updated_at);
create index on saas.users (updated_at);
create index on saas.users (customer_id);
create index on saas.subscriptions (updated_at);
create index on saas.subscriptions (customer_id);
create index on saas.invoices (updated_at);
create index on saas.invoices (customer_id);
create index on saas.tickets (updated_at);
create index on saas.tickets (customer_id);
create index on saas.ticket_comments (updated_at);
create index on saas.ticket_comments (ticket_id);
create index on saas.product_docs (updated_at);
create index on saas.policies (updated_at);
