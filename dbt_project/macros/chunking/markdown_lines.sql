{#-
    CTEs that read Markdown line by line; the last, `markdown_lines`, has a row for every line with text in it:
    document_id, title, line_number, line_text (with its newline and the empty lines after it, so that the lines of a
    document joined are its body), kind (heading, underline, code, table, list, indented, text), section_number,
    block_number, section_path (headings from the outermost, joined by " > "), outer_path (the same without the
    headings that stand in the section itself), and keys of the line and the section.

    Fences open and close in turn; a last one that nothing closes is text, so that it cannot swallow the rest of a
    document. A line under which `===` or `---` stands is a heading where an empty line stands before it.
-#}
{% macro markdown_lines(relation) %}
raw_lines as (

    select
        source.document_id,
        source.title,
        part.position as line_number,
        part.value as line
    from {{ relation }} as source
    {{ headrace.split_rows('source.body', headrace.newline()) }}

),

fences as (

    select
        raw_lines.*,
        {{ headrace.matches('raw_lines.line', '^[ \\t]*(```[^`]*|~~~.*)$') }} as is_fence,
        sum(case when {{ headrace.matches('raw_lines.line', '^[ \\t]*(```[^`]*|~~~.*)$') }} then 1 else 0 end) over (
            partition by raw_lines.document_id
            order by raw_lines.line_number rows between unbounded preceding and current row
        ) as fence_number,
        sum(case when {{ headrace.matches('raw_lines.line', '^[ \\t]*(```[^`]*|~~~.*)$') }} then 1 else 0 end) over (
            partition by raw_lines.document_id
        ) as fence_count,
        lag(raw_lines.line) over (
            partition by raw_lines.document_id order by raw_lines.line_number
        ) as line_before,
        lead(raw_lines.line) over (
            partition by raw_lines.document_id order by raw_lines.line_number
        ) as line_after
    from raw_lines

),

code_lines as (

    select
        fences.*,
        (fences.is_fence or mod(fences.fence_number, 2) = 1)
        and not (mod(fences.fence_count, 2) = 1 and fences.fence_number = fences.fence_count) as is_code,
        not {{ headrace.matches('fences.line', '[^ \\t]') }} as is_empty,
        {{ headrace.matches('fences.line', '^ {0,3}#{1,6}([ \\t].*)?$') }} as is_atx,
        {{ headrace.matches('fences.line', '^ {0,3}[^ \\t#>|*+-].*$') }}
        and not {{ headrace.matches('fences.line', '^ {0,3}[0-9]+[.)][ \\t]') }}
        and not {{ headrace.matches("coalesce(fences.line_before, '')", '[^ \\t]') }}
        and {{ headrace.matches("coalesce(fences.line_after, '')", '^ {0,3}(=+|-{3,})[ \\t]*$') }} as is_setext
    from fences

),

kinds as (

    select
        code_lines.*,
        case
            when code_lines.is_empty then 'empty'
            when code_lines.is_code then 'code'
            when code_lines.is_atx or code_lines.is_setext then 'heading'
            when lag(code_lines.is_setext and not code_lines.is_code) over (
                partition by code_lines.document_id order by code_lines.line_number
            ) then 'underline'
            when {{ headrace.matches('code_lines.line', '^[ \\t]*[|]') }} then 'table'
            when {{ headrace.matches('code_lines.line', '^[ \\t]*([-*+]|[0-9]+[.)])[ \\t]') }} then 'list'
            when {{ headrace.matches('code_lines.line', '^(  |\\t)') }} then 'indented'
            else 'text'
        end as kind
    from code_lines

),

-- Empty lines go with the line before them, so that no white space is lost and every row has text.
anchored as (

    select
        kinds.*,
        sum(case when kinds.kind = 'empty' then 0 else 1 end) over (
            partition by kinds.document_id
            order by kinds.line_number rows between unbounded preceding and current row
        ) as anchor
    from kinds

),

counted_lines as (

    select
        anchored.*,
        count(*) over (partition by anchored.document_id, anchored.anchor) as line_count
    from anchored

),

text_lines as (

    select
        anchored.document_id,
        anchored.title,
        anchored.line_number,
        anchored.kind,
        concat(anchored.line, repeat({{ headrace.newline() }}, cast(anchored.line_count as {{ dbt.type_int() }}))) as line_text,
        anchored.is_fence and mod(anchored.fence_number, 2) = 1 as opens_fence,
        case
            when anchored.kind = 'heading' and anchored.is_atx
                then length({{ headrace.replace_matches('anchored.line', '^ *(#+).*$', '\\1') }})
            when anchored.kind = 'heading' and {{ headrace.matches("coalesce(anchored.line_after, '')", '=') }} then 1
            when anchored.kind = 'heading' then 2
        end as level,
        case
            when anchored.kind = 'heading'
                then {{ headrace.trimmed(headrace.replace_matches(
                    headrace.replace_matches('anchored.line', '^ *#+|[ \\t]#+[ \\t]*$', ''), '[`*]|\\x5b([^\\x5d]*)\\x5d\\x28[^\\x29]*\\x29', '\\1')) }}
        end as heading_text,
        lag(anchored.kind) over (partition by anchored.document_id order by anchored.line_number) as kind_before,
        coalesce(lag(anchored.line_count) over (
            partition by anchored.document_id order by anchored.line_number
        ), 1) > 1 as is_after_empty
    from counted_lines as anchored
    where anchored.kind <> 'empty'

),

line_starts as (

    select
        text_lines.*,
        case
            when text_lines.kind = 'heading' and text_lines.kind_before not in ('heading', 'underline') then 1
            else 0
        end as starts_section,
        case
            when text_lines.kind in ('heading', 'underline')
                then case when text_lines.kind_before in ('heading', 'underline') then 0 else 1 end
            when text_lines.kind_before in ('heading', 'underline') then 0
            when text_lines.kind = 'code' and text_lines.kind_before = 'code'
                then case when text_lines.opens_fence then 1 else 0 end
            when text_lines.kind = 'code' or text_lines.kind_before = 'code' then 1
            when text_lines.is_after_empty
                then case
                    when
                        text_lines.kind in ('list', 'indented') and text_lines.kind_before in ('list', 'indented')
                        then 0
                    else 1
                end
            when text_lines.kind = 'table' and text_lines.kind_before <> 'table' then 1
            when text_lines.kind <> 'table' and text_lines.kind_before = 'table' then 1
            else 0
        end as starts_block
    from text_lines

),

numbered_lines as (

    select
        line_starts.*,
        sum(starts_section) over (
            partition by document_id
            order by line_number rows between unbounded preceding and current row
        ) as section_number,
        sum(starts_block) over (
            partition by document_id
            order by line_number rows between unbounded preceding and current row
        ) as block_number
    from line_starts

),

-- The latest heading of each level so far, its line number in front so that the greatest text is the latest.
heading_marks as (

    select
        numbered_lines.*,
        {%- for level in range(1, 7) %}
        max(case when level = {{ level }} then concat({{ headrace.padded('line_number', 9) }}, heading_text) end) over (
            partition by document_id
            order by line_number rows between unbounded preceding and current row
        ) as mark_{{ level }}{{ "," if not loop.last }}
        {%- endfor %}
    from numbered_lines

),

-- A section's path is where its last heading stands.
section_marks as (

    select
        document_id,
        title,
        line_number,
        line_text,
        kind,
        section_number,
        block_number,
        {{ headrace.padded('min(line_number) over (partition by document_id, section_number)', 9) }} as section_start,
        {%- for level in range(1, 7) %}
        max(case when kind = 'heading' then mark_{{ level }} end) over (
            partition by document_id, section_number
        ) as mark_{{ level }}{{ "," if not loop.last }}
        {%- endfor %}
    from heading_marks

),

markdown_lines as (

    select
        document_id,
        title,
        line_number,
        line_text,
        kind,
        section_number,
        block_number,
        concat(document_id, {{ headrace.character(31) }}, cast(line_number as {{ dbt.type_string() }})) as line_key,
        concat(document_id, {{ headrace.character(31) }}, cast(section_number as {{ dbt.type_string() }})) as section_key,
        {{ headrace.array_to_text(headrace.text_array(headrace.open_headings()), ' > ') }} as section_path,
        {{ headrace.array_to_text(headrace.text_array(headrace.open_headings('section_start')), ' > ') }} as outer_path
    from section_marks

)
{%- endmacro %}

{#- A heading is open where no heading of an outer level came after it; `before` leaves out those from that line on. -#}
{% macro open_headings(before=none) -%}
    {%- set headings = [] -%}
    {%- for level in range(1, 7) -%}
        {%- set conditions = ["left(mark_" ~ level ~ ", 9) < " ~ before] if before else [] -%}
        {%- for outer in range(1, level) -%}
            {%- do conditions.append("coalesce(left(mark_" ~ outer ~ ", 9), '') < left(mark_" ~ level ~ ", 9)") -%}
        {%- endfor -%}
        {%- set heading = "nullif(substr(mark_" ~ level ~ ", 10), '')" -%}
        {%- do headings.append(
            "case when " ~ (conditions | join(' and ') or 'true') ~ " then " ~ heading ~ " end") -%}
    {%- endfor -%}
    {{ return(headings) }}
{%- endmacro %}
