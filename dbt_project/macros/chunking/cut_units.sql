{#-
    Two CTEs: the units of `source` that exceed the room are cut in parts, the others pass. A part that is still too
    long is for the next, finer cut. `marked` is the text with a separator (code 31, which normalised text cannot
    hold) after each place where it may be cut; without it, the text is cut in slices of `slice` characters.
-#}
{% macro cut_units(source, result, level, marked, condition='true', slice=none) %}
{%- set too_long = '(unit.cost > unit.room and ' ~ condition ~ ')' -%}
{{ result }}_parts as (

    select
        unit.section_key,
        unit.room,
        unit.is_prose,
        {{ headrace.unit_place('unit.place', 'part.position') }} as place,
        part.value as unit_text
    from {{ source }} as unit
    {{ headrace.split_rows(marked, headrace.character(31)) if marked else headrace.slice_rows('unit.unit_text', slice) }}
    where {{ too_long }} and part.value <> ''

),

{{ result }}_keyed as (

    select
        parts.*,
        concat(parts.section_key, {{ headrace.character(31) }}, parts.place) as unit_key
    from {{ result }}_parts as parts

),

{{ result }}_costs as (

    {{ headrace.token_costs(result ~ '_keyed', 'unit_key', 'unit_text') }}

),

{{ result }} as (

    select
        unit.section_key,
        unit.room,
        unit.is_prose,
        unit.place,
        unit.unit_text,
        unit.cost
    from {{ source }} as unit
    where not {{ too_long }}

    union all

    select
        keyed.section_key,
        keyed.room,
        keyed.is_prose,
        keyed.place,
        keyed.unit_text,
        costs.cost
    from {{ result }}_keyed as keyed
    inner join {{ result }}_costs as costs
        on keyed.unit_key = costs.unit_key

)
{%- endmacro %}

{#- Where a unit stands in its document, as text that sorts: the number of its line, then of the part at each cut. -#}
{% macro unit_place(outer, number) -%}
    concat({{ outer }}, '.', {{ headrace.padded(number, 9) }})
{%- endmacro %}
