{#-
    Cuts Markdown documents into chunks of at most `headrace_chunk_tokens` tokens, set-based: no recursion, no loop.

    `relation` has document_id, title and body. The rows that come back have document_id, chunk_index (from 0),
    section_path, chunk_text (header, empty line, text), header_length (characters in front of the text) and
    approx_tokens (an upper bound).

    How it cuts:
    - A chunk never crosses a section, so an edit re-cuts its own section and leaves the rest of the document alone.
      Headings in direct succession open one section.
    - Within a section the blocks (paragraph, list, table, code) are packed in order. A block of more than half the
      budget stands alone; between such blocks, the bucket of a block is its start divided by (budget - longest
      block), so that no bucket can overrun the budget and no running state is needed.
    - A block over the budget is cut at sentences (prose) or lines (lists, tables, code), what is still too long at
      words, and that at characters. Every cut keeps the white space with what stands before it: the texts of a
      document's chunks, joined, are its body up to white space.

    `overlap` (var headrace_chunk_overlap_tokens) repeats the last units of the chunk before, within the section.
-#}
{% macro chunk_documents(relation) %}
{%- set budget = var('headrace_chunk_tokens') | int - 2 %}
{%- set overlap = var('headrace_chunk_overlap_tokens') | int %}
{%- if budget < 40 %}
    {{ exceptions.raise_compiler_error(
        "headrace_chunk_tokens is " ~ (budget + 2) ~ ": a chunk holds a header and at least a sentence, so give it 42 or more.") }}
{%- endif %}
{%- if overlap < 0 or overlap > budget // 4 %}
    {{ exceptions.raise_compiler_error(
        "headrace_chunk_overlap_tokens is " ~ overlap ~ ": it must be from 0 to a quarter of headrace_chunk_tokens (" ~ budget // 4 ~ ").") }}
{%- endif %}
{%- set nl = headrace.newline() %}
{%- set mark = headrace.character(31) %}

with documents as (

    select
        document_id,
        {{ headrace.replace_matches('title', '[\\x01-\\x20\\x7f]+', ' ') }} as title,
        {{ headrace.normalize_text('body') }} as body
    from {{ relation }}

),

{{ headrace.markdown_lines('documents') }},

line_costs as (

    {{ headrace.token_costs('markdown_lines', 'line_key', 'line_text') }}

),

blocks as (

    select
        lines.document_id,
        lines.section_key,
        lines.section_number,
        lines.section_path,
        lines.outer_path,
        lines.title,
        {{ headrace.padded('min(lines.line_number)', 9) }} as place,
        string_agg(lines.line_text, '' order by lines.line_number) as unit_text,
        sum(line_costs.cost) as cost,
        max(case when lines.kind in ('text', 'heading', 'underline') then 0 else 1 end) = 0 as is_prose
    from markdown_lines as lines
    inner join line_costs
        on lines.line_key = line_costs.line_key
    group by
        lines.document_id, lines.section_key, lines.section_number, lines.section_path, lines.outer_path, lines.title,
        lines.block_number

),

-- The title in front of the path. The first chunk of a section has the section's own heading in its text.
headers as (

    select distinct
        document_id,
        section_key,
        section_number,
        section_path,
        {{ headrace.chunk_header('title', 'section_path') }} as header,
        {{ headrace.chunk_header('title', 'outer_path') }} as first_header
    from blocks

),

header_costs as (

    {{ headrace.token_costs('headers', 'section_key', 'header') }}

),

-- A header over a quarter of the budget is cut; the whole title and heading stay in their columns and in the text.
sections as (

    select
        headers.document_id,
        headers.section_key,
        headers.section_number,
        headers.section_path,
        case when header_costs.cost > {{ budget // 4 }} then left(headers.header, {{ budget // 12 }}) else headers.header end
            as header,
        case
            when header_costs.cost > {{ budget // 4 }} then left(headers.first_header, {{ budget // 12 }})
            else headers.first_header
        end as first_header,
        case when header_costs.cost > {{ budget // 4 }} then {{ budget // 4 }} else header_costs.cost end as header_cost
    from headers
    inner join header_costs
        on headers.section_key = header_costs.section_key

),

whole_blocks as (

    select
        blocks.section_key,
        {{ budget - overlap }} - sections.header_cost as room,
        blocks.is_prose,
        blocks.place,
        blocks.unit_text,
        blocks.cost
    from blocks
    inner join sections
        on blocks.section_key = sections.section_key

),

{#- After the line; after the sentence and the marks that close it; after white space; every few characters. #}
{{ headrace.cut_units(
    'whole_blocks', 'lines_cut', 1, headrace.replace_matches('unit.unit_text', '(\\n)', '\\1\x1f'), 'not unit.is_prose') }},

{{ headrace.cut_units(
    'lines_cut', 'sentences_cut', 2,
    headrace.replace_matches('unit.unit_text', '([.!?][)\\x5d\\x22\\x27*_]*[ \\n]+|[。！？])', '\\1\x1f')) }},

{{ headrace.cut_units(
    'sentences_cut', 'words_cut', 3, headrace.replace_matches('unit.unit_text', '([ \\t\\n]+)', '\\1\x1f')) }},

{{ headrace.cut_units('words_cut', 'characters_cut', 4, none, slice=budget // 6) }},

units as (

    select
        characters_cut.*,
        row_number() over (partition by characters_cut.section_key order by characters_cut.place) as unit_number,
        sum(characters_cut.cost) over (partition by characters_cut.section_key) as section_cost
    from characters_cut

),

-- A section that fits is one run; else each long unit is a run of its own, and so is what stands between two.
run_marks as (

    select
        units.*,
        case when section_cost > room and cost * 2 > room then 1 else 0 end as is_long,
        coalesce(lag(case when section_cost > room and cost * 2 > room then 1 else 0 end) over (
            partition by section_key order by unit_number
        ), 0) as is_after_long
    from units

),

runs as (

    select
        run_marks.*,
        sum(case when is_long = 1 or is_after_long = 1 then 1 else 0 end) over (
            partition by section_key
            order by unit_number rows between unbounded preceding and current row
        ) as run_number
    from run_marks

),

offsets as (

    select
        runs.*,
        sum(cost) over (
            partition by section_key, run_number
            order by unit_number rows between unbounded preceding and current row
        ) - cost as cost_before,
        sum(cost) over (partition by section_key, run_number) as run_cost,
        max(cost) over (partition by section_key, run_number) as longest_cost
    from runs

),

packed as (

    select
        section_key,
        unit_number,
        unit_text,
        cost,
        dense_rank() over (
            partition by section_key
            order by
                run_number,
                case
                    when run_cost <= room then 0
                    else {{ headrace.integer_divide('cost_before', 'room - longest_cost') }}
                end
        ) as part_number
    from offsets

),
{% if overlap %}
-- The last units of a chunk, as far as the overlap reaches, stand in front of the next one of the section.
tails as (

    select
        packed.*,
        max(part_number) over (partition by section_key) as last_part_number,
        sum(cost) over (
            partition by section_key, part_number
            order by unit_number desc rows between unbounded preceding and current row
        ) as cost_to_end
    from packed

),

placed as (

    select section_key, unit_number, unit_text, cost, part_number
    from packed

    union all

    select section_key, unit_number, unit_text, cost, part_number + 1 as part_number
    from tails
    where cost_to_end <= {{ overlap }} and part_number < last_part_number

),
{% else %}
placed as (

    select section_key, unit_number, unit_text, cost, part_number
    from packed

),
{% endif %}
texts as (

    select
        section_key,
        part_number,
        {{ headrace.replace_matches("string_agg(unit_text, '' order by unit_number)", '[ \\t\\n]+$', '') }} as text,
        sum(cost) as cost
    from placed
    group by section_key, part_number

),

headed as (

    select
        sections.document_id,
        sections.section_number,
        sections.section_path,
        case when texts.part_number = 1 then sections.first_header else sections.header end as header,
        texts.part_number,
        texts.text,
        texts.cost + sections.header_cost + 2 as approx_tokens
    from texts
    inner join sections
        on texts.section_key = sections.section_key

)

select
    document_id,
    row_number() over (partition by document_id order by section_number, part_number) - 1 as chunk_index,
    section_path,
    case when header = '' then text else concat(header, {{ headrace.newline(2) }}, text) end as chunk_text,
    case when header = '' then 0 else length(header) + 2 end as header_length,
    approx_tokens
from headed
{% endmacro %}

{#- A title and a path of headings as one line, the title said once where the path begins with it. -#}
{% macro chunk_header(title, path) -%}
    case
        when {{ path }} = '' then {{ title }}
        when {{ title }} in ('', {{ path }}) or left({{ path }}, length({{ title }}) + 3) = concat({{ title }}, ' > ')
            then {{ path }}
        else concat({{ title }}, ' > ', {{ path }})
    end
{%- endmacro %}
