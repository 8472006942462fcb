with

source as (
    select * from {{ source('saas', 'invoices') }}
)

select
    invoice_id,
    customer_id,
    subscription_id,
    {{ cents_to_money('amount_cents') }} as amount,
    currency,
    status as invoice_status,
    issued_on,
    due_on,
    paid_on,
    updated_at
from source
