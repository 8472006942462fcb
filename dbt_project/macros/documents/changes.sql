{#-
    The document models that this run compares with what is stored; none where it compares all of them, as it does
    wherever nobody names some in `headrace_batch_models`, and until rag__documents says which model a row is from.
-#}
{% macro batch_models() -%}
    {%- set models = var('headrace_batch_models', []) -%}
    {%- set stored = headrace.stored_documents() if models else none -%}
    {%- if stored and 'document_model' in (adapter.get_columns_in_relation(stored) | map(attribute='name') | list) -%}
        {{ return(models) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{#- The table of rag__documents as the last run left it, for what it is made of; none where there is none. -#}
{% macro stored_documents() -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.headrace.rag__documents'] -%}
        {{ return(adapter.get_relation(node.database, node.schema, node.alias)) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{#- The condition for a row of a document model to be looked at, where the run looks only at what changed lately. -#}
{% macro changed_since() -%}
    {%- set since = var('headrace_batch_since', '') -%}
    {%- if since -%}
        (
            source_updated_at >= cast('{{ since }}' as {{ headrace.type_timestamp() }})
            or source_updated_at is null
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- The names under `supersedes` in a payload, one or a list, as JSON; null where there are none. -#}
{% macro superseded_names(payload) -%}
    case when {{ payload }} like '%"supersedes"%' then {{ headrace.json_part(payload, 'supersedes') }} end
{%- endmacro %}

{#- Joins each row to the names in such JSON, as `part.value`. -#}
{% macro superseded_rows(names) -%}
    {{ headrace.json_rows("concat('{\"supersedes\":', coalesce(" ~ names ~ ", 'null'), '}')", 'supersedes') }}
{%- endmacro %}

{#-
    What a run that compares some models must know of `stored`, the table of rag__documents: the rows of rag__changes,
    and those whose state may be another for it.

    - judged: the documents of rag__changes; the other versions in their families as they were and as they are; those
      that they name, or named, under `supersedes`;
    - read: those, and what their states depend on: the families of the named, and what names one of them.

    Each has `ids` and `buckets`. None where all documents are compared, and where so many changed that this is cheaper.
-#}
{% macro concerned_documents(stored) -%}
    {%- if not execute or headrace.batch_models() is none -%} {{ return(none) }} {%- endif -%}
    {%- set names = headrace.superseded_rows('named_by.supersedes') -%}
    {%- set all_naming -%}
        select document_id, source_name, supersedes from {{ stored }} where supersedes is not null
    {%- endset -%}
    {%- set query -%}
        with changes as (

            select * from {{ ref('rag__changes') }}

        ),

        versions as (

            {{ headrace.document_versions('changes') }}

        ),

        before as (

            select
                stored.source_name,
                stored.version_family as family,
                stored.supersedes
            from {{ stored }} as stored
            inner join changes
                on stored.document_id = changes.document_id

        ),

        families as (

            select family from versions
            where family is not null

            union distinct

            select family from before
            where family is not null

        ),

        named_by as (

            select source_name, supersedes from versions
            where supersedes is not null

            union all

            select source_name, supersedes from before
            where supersedes is not null

        ),

        named as (

            select part.value as document_id
            from named_by {{ names }}

            union all

            select concat(named_by.source_name, ':', part.value) as document_id
            from named_by {{ names }}

        ),

        judged as (

            select document_id from changes

            union distinct

            select document_id from named

            union distinct

            select stored.document_id
            from {{ stored }} as stored
            inner join families
                on stored.version_family = families.family

        ),

        families_of_named as (

            select distinct stored.version_family as family
            from {{ stored }} as stored
            inner join named
                on stored.document_id = named.document_id
            where stored.version_family is not null

        ),

        naming as (

            select named_by.document_id, part.value as named_id
            from ({{ all_naming }}) as named_by {{ names }}

            union all

            select named_by.document_id, concat(named_by.source_name, ':', part.value) as named_id
            from ({{ all_naming }}) as named_by {{ names }}

        ),

        beside as (

            select stored.document_id
            from {{ stored }} as stored
            inner join families_of_named
                on stored.version_family = families_of_named.family

            union distinct

            select naming.document_id
            from naming
            inner join judged
                on naming.named_id = judged.document_id

        ),

        concerned as (

            select document_id, 1 as is_judged from judged

            union all

            select document_id, 0 as is_judged from beside

        )

        select
            document_id,
            {{ headrace.document_bucket('document_id') }} as document_bucket,
            max(is_judged) as is_judged
        from concerned
        group by document_id
        order by document_id
        limit {{ headrace.most_ids() + 1 }}
    {%- endset -%}
    {%- set rows = run_query(query).rows -%}
    {%- if rows | length > headrace.most_ids() -%} {{ return(none) }} {%- endif -%}
    {{ return({
        'read': headrace.listed(rows),
        'judged': headrace.listed(rows | selectattr('is_judged') | list),
    }) }}
{%- endmacro %}

{#- Documents that a query names: BigQuery takes queries of up to a megabyte. -#}
{% macro most_ids() -%} {{ return(10000) }} {%- endmacro %}

{#- Rows of document_id and document_bucket as lists, each bucket once. -#}
{% macro listed(rows) -%}
    {{ return({
        'ids': rows | map(attribute='document_id') | list,
        'buckets': rows | map(attribute='document_bucket') | map('int') | unique | sort | list,
    }) }}
{%- endmacro %}

{#-
    The documents of `documents`, the table of rag__documents, that were written after a batch: as ids and buckets; none
    where there are so many that a query cannot name them.
-#}
{% macro documents_after(documents, batch_id) -%}
    {%- if not execute -%} {{ return(none) }} {%- endif -%}
    {%- set query -%}
        select document_id, document_bucket from {{ documents }}
        where batch_id > {{ batch_id }}
        limit {{ headrace.most_ids() + 1 }}
    {%- endset -%}
    {%- set rows = run_query(query).rows -%}
    {{ return(headrace.listed(rows) if rows | length <= headrace.most_ids() else none) }}
{%- endmacro %}

{#- Let dbt's merge, or delete, of this run look for the rows that it replaces among `documents` only. The list is the
    one that the model was configured with, which the materialization reads after the model's query. -#}
{% macro merge_among(config, documents) -%}
    {%- set predicates = config.get('incremental_predicates') -%}
    {%- if execute and predicates is not none -%}
        {%- do predicates.clear() -%}
        {%- if documents is not none -%}
            {%- do predicates.append(headrace.among(documents, 'DBT_INTERNAL_DEST.')) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
