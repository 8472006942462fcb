{{ config(materialized='table') }}
{%- if not execute %}
    {%- for model in headrace.document_models() %} {%- do headrace.document_model(model) %} {%- endfor %}
{%- endif %}
{%- set models = headrace.batch_models() %}
{% if models is none %}
-- This run compares every document.
select
    cast(null as {{ dbt.type_string() }}) as document_model,
    {{ headrace.no_document(['document_hash']) }}
from (select 1 as nothing) as empty
where false
{% else %}
{%- set most = 20 * (var('headrace_batch_documents') | int) %}
{%- set is_whole = headrace.changed_since() == 'true' %}
{%- set readers = "coalesce(" ~ headrace.array_in_full('access') ~ ", '')" %}
{%- set is_read = "'" ~ models | join("', '") ~ "'" %}
{%- set conditions = {} %}
{%- for model in headrace.document_models() %}
    {%- if model in models %}
        {%- do conditions.update({
            model: headrace.changed_since() ~ ' and document_id in (select document_id from looked_at)'
        }) %}
    {%- elif is_whole %}
        {#- The second condition alone would have the whole model read to find nothing. #}
        {%- do conditions.update({
            model: 'exists (select 1 from elsewhere) and document_id in (select document_id from elsewhere)'
        }) %}
    {%- endif %}
{%- endfor %}
with given as (

    {% for model in models %}
    select
        '{{ model }}' as document_model,
        document_id,
        source_updated_at
        {%- if is_whole %},
        coalesce(is_deleted, false) as is_deleted,
        {{ readers }} as readers
        {%- endif %}
    from {{ headrace.document_model(model) }}
    {%- if not is_whole %}
    where {{ headrace.changed_since() }}
    {%- endif %}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

stored as (

    select
        document_id,
        document_model,
        source_updated_at,
        is_deleted,
        {%- if is_whole %}
        {{ readers }} as readers,
        {%- endif %}
        document_hash
    from {{ headrace.stored_documents() }}

),

-- A model says by its date that a document is another; one without a date is always compared, and who may read it does
-- not wait for a date.
looked_at as (

    select distinct given.document_id
    from given
    left join stored
        on given.document_id = stored.document_id
    where
        (
            stored.document_id is null
            or given.source_updated_at is null
            or given.source_updated_at <> stored.source_updated_at
            or coalesce(stored.document_model, '') <> given.document_model
            {%- if is_whole %}
            or stored.is_deleted <> given.is_deleted
            or stored.readers <> given.readers
            {%- endif %}
        )
        {%- if is_whole %}

    union distinct

    select stored.document_id
    from stored
    left join given
        on stored.document_id = given.document_id and stored.document_model = given.document_model
    where given.document_id is null and stored.document_model in ({{ is_read }})

),

-- What was taken from a model that did not change may still be the newest of that id, and where the newest one went, or
-- was set back, one that was not taken so far may be.
elsewhere as (

    select looked_at.document_id
    from looked_at
    inner join stored
        on looked_at.document_id = stored.document_id
    left join given
        on stored.document_id = given.document_id and stored.document_model = given.document_model
    where
        stored.document_model is not null
        and (
            stored.document_model not in ({{ is_read }})
            or given.document_id is null
            or given.source_updated_at < stored.source_updated_at
        )
        {%- else %}
        -- What was taken from a model that is not read may be newer: the next run that compares everything finds out.
        and (stored.document_model is null or stored.document_model in ({{ is_read }}))
        {%- endif %}

),

incoming as (

    {{ headrace.incoming_documents(conditions) }}

),

hashed as (

    select
        incoming.*,
        {{ headrace.document_hash('incoming') }} as document_hash
    from incoming
    where incoming.refused_because is null

),

changed as (

    select hashed.*
    from hashed
    left join stored
        on hashed.document_id = stored.document_id
    where
        stored.document_id is null
        or stored.document_hash <> hashed.document_hash
        or stored.is_deleted <> hashed.is_deleted
        or coalesce(stored.document_model, '') <> hashed.document_model
        or stored.source_updated_at <> hashed.source_updated_at
    {%- if most > 0 %}
    -- So many that a batch finds its documents among them; the rest still differs when the next run looks.
    order by
        coalesce(hashed.source_updated_at, {{ headrace.now() }})
        {{ 'asc' if var('headrace_batch_order') == 'oldest' else 'desc' }},
        hashed.document_id asc
    limit {{ most }}
    {%- endif %}

),

gone as (

    select stored.document_id
    from looked_at
    inner join stored
        on looked_at.document_id = stored.document_id
    left join hashed
        on looked_at.document_id = hashed.document_id
    where hashed.document_id is null and (stored.document_model is not null or not stored.is_deleted)

),

nothing as (

    select {{ headrace.no_document() }}

)

select
    document_model,
    {{ headrace.document_columns() | join(',\n    ') }},
    document_hash
from changed

union all

select
    cast(null as {{ dbt.type_string() }}) as document_model,
    {% for column in headrace.document_columns() -%}
    {{ 'gone' if column == 'document_id' else 'nothing' }}.{{ column }},
    {% endfor -%}
    cast(null as {{ dbt.type_string() }}) as document_hash
from gone
cross join nothing
{% endif %}
