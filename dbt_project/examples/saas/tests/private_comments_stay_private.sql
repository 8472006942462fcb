-- A note among agents must be in no document. Short ones are passed over: a word may well be in both.
with

comments as (
    select * from {{ ref('stg_saas__ticket_comments') }}
),

documents as (
    select * from {{ ref('doc_support_tickets') }}
),

private_comments as (
    select
        comment_id,
        'ticket:' || cast(ticket_id as {{ dbt.type_string() }}) as document_id,
        comment_body
    from comments
    where
        not is_public
        and {{ dbt.length('comment_body') }} >= 20
)

select
    private_comments.comment_id,
    private_comments.document_id
from private_comments
inner join documents on private_comments.document_id = documents.document_id
where {{ dbt.position('private_comments.comment_body', 'documents.body') }} > 0
