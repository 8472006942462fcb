{{ config(materialized='view') }}
{%- set sets = var('headrace_gold_sets') %}

{% for gold_set in sets %}
select
    '{{ gold_set }}' as gold_set,
    cast(question_id as {{ dbt.type_string() }}) as question_id,
    cast(question as {{ dbt.type_string() }}) as question,
    coalesce(cast(doc_type as {{ dbt.type_string() }}), 'document') as doc_type,
    coalesce(cast(answers as {{ dbt.type_string() }}), '') as answers,
    coalesce(cast(helps as {{ dbt.type_string() }}), '') as helps,
    coalesce(cast(facts as {{ dbt.type_string() }}), '') as facts,
    coalesce(cast(must_not as {{ dbt.type_string() }}), '') as must_not
from {{ ref(project_name, gold_set) }}
{% if not loop.last %}
union all
{% endif %}
{% else %}
select
    cast(null as {{ dbt.type_string() }}) as gold_set,
    cast(null as {{ dbt.type_string() }}) as question_id,
    cast(null as {{ dbt.type_string() }}) as question,
    cast(null as {{ dbt.type_string() }}) as doc_type,
    cast(null as {{ dbt.type_string() }}) as answers,
    cast(null as {{ dbt.type_string() }}) as helps,
    cast(null as {{ dbt.type_string() }}) as facts,
    cast(null as {{ dbt.type_string() }}) as must_not
from (select 1 as nothing) as empty
where false
{% endfor %}
