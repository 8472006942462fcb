with

source as (
    select * from {{ source('saas', 'customers') }}
)

select
    customer_id,
    company_name,
    industry,
    employee_count,
    country,
    account_owner,
    created_at,
    churned_at,
    updated_at
from source
