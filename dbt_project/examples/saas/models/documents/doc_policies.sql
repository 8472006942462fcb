with

policies as (
    select * from {{ ref('stg_saas__policies') }}
)

select
    'policy:' || policy_id as document_id,
    'saas' as source_name,
    'policy' as doc_type,
    policy_name || ', version of ' || {{ headrace.date_text('version_date') }} as title,
    policy_body as body,
    'https://handbook.tidewise.example/policies/' || policy_id as url,
    policy_owner as owner,
    'en' as language,
    effective_from as valid_from,
    effective_to as valid_to,
    policy_family as version_family,
    version_date,
    review_by,
    {{ headrace.text_array([
        "case when audience = 'everyone' then 'everyone' else 'role:' || audience end",
    ]) }} as access,
    {{ headrace.json_object([
        ['policy_id', 'policy_id'],
        ['policy_name', 'policy_name'],
        ['audience', 'audience'],
    ]) }} as payload,
    updated_at as source_updated_at,
    false as is_deleted
from policies
