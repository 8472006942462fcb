{#-
    The batch_id of this run: the clock in milliseconds, but always above every batch that `relation` holds, so that
    it grows when the clock is set back and when a table is rebuilt.
-#}
{% macro next_batch_id(relation) -%}
    {%- set clock = (run_started_at.timestamp() * 1000) | int -%}
    {%- set stored = load_relation(relation) if execute else none -%}
    {%- if stored and 'batch_id' in (adapter.get_columns_in_relation(stored) | map(attribute='name') | list) -%}
        {{ return([clock, (headrace.newest_batch_id(stored) or -1) + 1] | max) }}
    {%- endif -%}
    {{ return(clock) }}
{%- endmacro %}

{#-
    The last batch that was cut; 0 where no chunk of `relation` was cut as this run cuts, so that every document is
    cut again.
-#}
{% macro cut_batch_id(relation) -%}
    {%- set is_cut_so = "chunking_policy = '" ~ headrace.chunking_policy() ~ "' and not is_deleted" -%}
    {{ return((headrace.newest_batch_id(relation, is_cut_so) or 0) if execute else 0) }}
{%- endmacro %}

{#- The newest batch of a table, as a number; none where it is empty, or where no row meets a condition. The rows of
    the last 40 days are asked first, since a table that is clustered by batch_id is not read whole for them. -#}
{% macro newest_batch_id(relation, condition='true') -%}
    {%- set recent = ((run_started_at.timestamp() - 40 * 86400) * 1000) | int -%}
    {%- for first in [recent, 0] -%}
        {%- set query -%}
            select max(batch_id) as batch_id
            from {{ relation }}
            where
                batch_id >= {{ first }}
                and exists (select 1 from {{ relation }} where batch_id >= {{ first }} and {{ condition }})
        {%- endset -%}
        {%- set found = run_query(query).columns[0].values()[0] -%}
        {%- if found is not none -%} {{ return(found | int) }} {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
