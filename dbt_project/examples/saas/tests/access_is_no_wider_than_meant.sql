-- A ticket is open to support and the customer that asked, a policy to its audience, and to nobody else.
with

ticket_documents as (
    select * from {{ ref('doc_support_tickets') }}
),

tickets as (
    select * from {{ ref('stg_saas__tickets') }}
),

policy_documents as (
    select * from {{ ref('doc_policies') }}
),

policies as (
    select * from {{ ref('stg_saas__policies') }}
),

granted as (
    select
        ticket_documents.document_id,
        {{ headrace.array_to_text('ticket_documents.access') }} as principals,
        'role:support,customer:' || cast(tickets.customer_id as {{ dbt.type_string() }}) as meant
    from ticket_documents
    left join tickets
        on ticket_documents.document_id = 'ticket:' || cast(tickets.ticket_id as {{ dbt.type_string() }})

    union all

    select
        policy_documents.document_id,
        {{ headrace.array_to_text('policy_documents.access') }} as principals,
        case policies.audience
            when 'everyone' then 'everyone'
            when 'support' then 'role:support'
            when 'finance' then 'role:finance'
            when 'security' then 'role:security'
            when 'people' then 'role:people'
        end as meant
    from policy_documents
    left join policies on policy_documents.document_id = 'policy:' || policies.policy_id
)

select
    document_id,
    principals,
    meant
from granted
where
    principals is null
    or meant is null
    or principals <> meant
