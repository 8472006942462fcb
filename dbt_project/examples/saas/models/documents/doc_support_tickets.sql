{%- set paragraph = headrace.newline(2) -%}

with

tickets as (
    select * from {{ ref('sem_tickets') }}
),

comments as (
    select * from {{ ref('stg_saas__ticket_comments') }}
),

customers as (
    select * from {{ ref('sem_customers') }}
),

users as (
    select * from {{ ref('stg_saas__users') }}
),

-- Notes among agents are no part of the text, but their change may be that a comment has just become one.
threads as (
    select
        ticket_id,
        string_agg(
            case
                when is_public
                    then
                        {{ paragraph }} || '**' || author_name || '** (' || author_kind || ', '
                        || {{ headrace.date_text(headrace.utc_date('created_at')) }} || '): ' || comment_body
            end,
            '' order by created_at, comment_id
        ) as thread,
        max(updated_at) as source_updated_at
    from comments
    group by ticket_id
)

-- The plan named in the text is the one of the day of the ticket, so an upgrade rewrites no old ticket. Of the customer
-- only the account is repeated here: health and risk move with each ticket, and would describe all its others anew.
select
    'ticket:' || cast(tickets.ticket_id as {{ dbt.type_string() }}) as document_id,
    'saas' as source_name,
    'support_ticket' as doc_type,
    'Ticket ' || cast(tickets.ticket_id as {{ dbt.type_string() }}) || ': ' || tickets.subject as title,
    'A support ticket from ' || customers.company_name || ', a customer in ' || customers.industry || ' '
    || coalesce('on the ' || tickets.plan_name || ' plan (' || tickets.plan_tier || ')', 'without a plan') || '. '
    || users.full_name || ' wrote on ' || {{ headrace.date_text('tickets.created_on') }}
    || ' about ' || tickets.product_area || '.'
    || {{ paragraph }} || '**Problem**'
    || {{ paragraph }} || tickets.description
    || coalesce({{ paragraph }} || '**Conversation**' || threads.thread, '') as body,
    'https://app.tidewise.example/support/tickets/' || cast(tickets.ticket_id as {{ dbt.type_string() }}) as url,
    'support' as owner,
    'en' as language,
    tickets.created_on as valid_from,
    cast(null as date) as valid_to,
    cast(null as {{ dbt.type_string() }}) as version_family,
    cast(null as date) as version_date,
    cast(null as date) as review_by,
    {{ headrace.text_array([
        "'role:support'",
        "'customer:' || cast(tickets.customer_id as " ~ dbt.type_string() ~ ")",
    ]) }} as access,
    {{ headrace.json_object([
        ['ticket_id', 'tickets.ticket_id'],
        ['customer_id', 'tickets.customer_id'],
        ['company_name', 'customers.company_name'],
        ['product_area', 'tickets.product_area'],
        ['channel', 'tickets.channel'],
        ['status', 'tickets.ticket_status'],
        ['priority', 'tickets.priority'],
        ['assigned_to', 'tickets.assigned_to'],
        ['csat_score', 'tickets.csat_score'],
        ['is_deflected', 'tickets.is_deflected'],
        ['first_response_minutes', 'tickets.first_response_minutes'],
        ['resolution_hours', 'tickets.resolution_hours'],
        ['plan_name', 'customers.plan_name'],
        ['plan_tier', 'customers.plan_tier'],
        ['mrr', 'customers.mrr'],
    ]) }} as payload,
    {{ headrace.latest([
        'tickets.source_updated_at',
        'threads.source_updated_at',
        'customers.account_updated_at',
        'users.updated_at',
    ]) }} as source_updated_at,
    false as is_deleted
from tickets
inner join customers on tickets.customer_id = customers.customer_id
inner join users on tickets.requester_id = users.user_id
left join threads on tickets.ticket_id = threads.ticket_id
