{%- set line = headrace.newline() -%}
{%- set paragraph = headrace.newline(2) -%}

with

customers as (
    select * from {{ ref('sem_customers') }}
),

subscriptions as (
    select * from {{ ref('sem_subscriptions') }}
),

tickets as (
    select * from {{ ref('sem_tickets') }}
),

plan_histories as (
    select
        customer_id,
        string_agg(
            {{ line }} || '- '
            || case
                when cancelled_on is null then 'since ' || {{ headrace.date_text('started_on') }}
                else {{ headrace.date_text('started_on') }} || ' to ' || {{ headrace.date_text('cancelled_on') }}
            end
            || case when subscription_status = 'trialing' then ': trial of the ' else ': ' end
            || plan_name || ' plan',
            '' order by started_at, subscription_id
        ) as plan_history
    from subscriptions
    group by customer_id
),

area_counts as (
    select
        customer_id,
        product_area,
        count(*) as ticket_count
    from tickets
    group by customer_id, product_area
),

-- Words, not counts, and in alphabetical order: one ticket more rarely changes the text.
themes as (
    select
        customer_id,
        string_agg(case when ticket_count >= 3 then product_area end, ', ' order by product_area) as regular_areas,
        string_agg(case when ticket_count < 3 then product_area end, ', ' order by product_area) as occasional_areas
    from area_counts
    group by customer_id
)

select
    'customer:' || cast(customers.customer_id as {{ dbt.type_string() }}) as document_id,
    'saas' as source_name,
    'customer_profile' as doc_type,
    'Customer profile: ' || customers.company_name as title,
    customers.company_name || ' is a company in ' || customers.industry || ' with about '
    || cast(customers.employee_count as {{ dbt.type_string() }}) || ' employees, based in ' || customers.country
    || '. It became a customer of Tidewise on ' || {{ headrace.date_text('customers.customer_since') }}
    || coalesce(
        ' and left on ' || {{ headrace.date_text(headrace.utc_date('customers.churned_at')) }},
        ''
    )
    || '. ' || customers.account_owner || ' looks after the account.'
    || {{ paragraph }} || '**Plan history**' || {{ line }}
    || coalesce(plan_histories.plan_history, {{ line }} || 'No subscription so far.')
    || {{ paragraph }} || '**What its tickets are about**' || {{ line }}
    || case
        when themes.customer_id is null then {{ line }} || 'No ticket so far.'
        else
            coalesce({{ line }} || '- regularly: ' || themes.regular_areas, '')
            || coalesce({{ line }} || '- now and then: ' || themes.occasional_areas, '')
    end as body,
    'https://app.tidewise.example/accounts/' || cast(customers.customer_id as {{ dbt.type_string() }}) as url,
    customers.account_owner as owner,
    'en' as language,
    customers.customer_since as valid_from,
    cast(null as date) as valid_to,
    cast(null as {{ dbt.type_string() }}) as version_family,
    cast(null as date) as version_date,
    cast(null as date) as review_by,
    {{ headrace.text_array(["'role:sales'", "'role:support'"]) }} as access,
    {{ headrace.json_object([
        ['customer_id', 'customers.customer_id'],
        ['company_name', 'customers.company_name'],
        ['industry', 'customers.industry'],
        ['country', 'customers.country'],
        ['is_active', 'customers.is_active'],
        ['plan_name', 'customers.plan_name'],
        ['plan_tier', 'customers.plan_tier'],
        ['subscription_status', 'customers.subscription_status'],
        ['seats', 'customers.seats'],
        ['mrr', 'customers.mrr'],
        ['arr', 'customers.arr'],
        ['lifetime_value', 'customers.lifetime_value'],
        ['churn_risk_score', 'customers.churn_risk_score'],
        ['churn_risk_band', 'customers.churn_risk_band'],
        ['health', 'customers.health'],
        ['overdue_invoices', 'customers.overdue_invoices'],
        ['overdue_amount', 'customers.overdue_amount'],
        ['open_tickets', 'customers.open_tickets'],
        ['last_ticket_on', headrace.date_text(headrace.utc_date('customers.last_ticket_at'))],
        ['last_seen_on', headrace.date_text(headrace.utc_date('customers.last_seen_at'))],
    ]) }} as payload,
    customers.source_updated_at,
    false as is_deleted
from customers
left join plan_histories on customers.customer_id = plan_histories.customer_id
left join themes on customers.customer_id = themes.customer_id
