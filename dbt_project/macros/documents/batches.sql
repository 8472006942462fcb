{#-
    The batch_id of this run: the clock in milliseconds, but always above every batch that `relation` holds, so that
    it grows when the clock is set back and when a table is rebuilt.
-#}
{% macro next_batch_id(relation) -%}
    {%- set clock = (run_started_at.timestamp() * 1000) | int -%}
    {%- set stored = load_relation(relation) if execute else none -%}
    {%- if stored and 'batch_id' in (adapter.get_columns_in_relation(stored) | map(attribute='name') | list) -%}
        (select greatest(coalesce(max(batch_id) + 1, 0), {{ clock }}) from {{ relation }})
    {%- else -%}
        {{ clock }}
    {%- endif -%}
{%- endmacro %}
