{{ config(materialized='table') }}
{%- set text = headrace.normalize_text(headrace.newline() ~ ' || body') %}
{%- set text = headrace.replace_matches(text, '\\n[ ]*\\n', '¶') %}
{%- set text = headrace.replace_matches(text, '\\n[ ]*([-*|#>]+|[0-9]+[.)]) ', '¶') %}
{%- set text = headrace.replace_matches(text, '([.!?]) ', '\\1¶') %}
{%- set text = headrace.replace_matches(text, '[ \\n\\t]+', ' ') %}
{%- set months = 'january|february|march|april|may|june|july|august|september|october|november|december' %}
{%- set masked = headrace.replace_matches('lower(trim(part.value))', '(' ~ months ~ ')', '@') %}
{%- set masked = headrace.replace_matches(masked, '[0-9][0-9.,:/-]*', '#') %}

-- Documents that are served side by side and should not be. Two of which half the sentences are the same up to their
-- numbers are near-duplicates; a sentence of theirs that is the same but for a number, a day or an amount is a
-- disagreement.
with served as (

    select
        document_id,
        source_name,
        doc_type,
        title,
        body,
        version_family,
        {{ headrace.version_words('title') }} as title_words,
        {{ headrace.lifecycle_setting('find_conflicts') }} as is_compared
    from {{ ref('rag__documents') }}
    where serving = 'full'

),

-- Parted at empty lines, at lines of lists, tables and headings, and where a sentence ends.
parted as (

    select
        document_id,
        {{ text }} as body
    from served
    where is_compared

),

sentences as (

    select
        parted.document_id,
        trim(part.value) as sentence,
        {{ masked }} as masked
    from parted
    {{ headrace.split_rows('parted.body', "'¶'") }}

),

-- What stands twice in a document says nothing of which sentence changed. Windows and not groups: of groups Postgres
-- expects so few that it would compare all sentences with all.
counted as (

    select
        document_id,
        sentence,
        masked,
        count(*) over (partition by document_id, masked) as copies,
        count(*) over (partition by document_id) as sentences
    from sentences
    where length(masked) >= 25

),

single_sentences as (

    select
        *,
        count(*) over (partition by masked) as documents
    from counted
    where copies < 2

),

-- What stands in many documents is a form, and would pair all with all.
shared as (

    select
        one.document_id,
        two.document_id as other_document_id,
        one.sentence,
        two.sentence as other_sentence,
        one.sentence <> two.sentence as differs,
        least(one.sentences, two.sentences) as sentences
    from single_sentences as one
    inner join single_sentences as two
        on one.masked = two.masked and one.document_id < two.document_id
    where one.documents < 21

),

measured as (

    select
        *,
        count(*) over (partition by document_id, other_document_id) as same_sentences,
        max(case when differs then 1 else 0 end) over (partition by document_id, other_document_id) as disagrees,
        row_number() over (
            partition by document_id, other_document_id order by differs desc, sentence asc
        ) as place
    from shared

),

near_duplicates as (

    select
        document_id,
        other_document_id,
        case when disagrees = 1 then 'disagreement' else 'near_duplicate' end as kind,
        sentence as passage,
        other_sentence as other_passage,
        cast(same_sentences as {{ dbt.type_float() }}) / sentences as similarity
    from measured
    where
        same_sentences >= 3 and 2 * same_sentences >= sentences
        -- Three passages show what is the matter.
        and place <= 3 and (differs or (disagrees = 0 and place = 1))

),

possible_versions as (

    select
        document_id,
        source_name,
        doc_type,
        title,
        {{ headrace.version_stem('title_words') }} as title_stem
    from served
    where version_family is null and {{ headrace.names_version('title_words') }}

),

versions as (

    select
        one.document_id,
        two.document_id as other_document_id,
        'two_versions' as kind,
        one.title as passage,
        two.title as other_passage,
        cast(null as {{ dbt.type_float() }}) as similarity
    from served as one
    inner join served as two
        on one.version_family = two.version_family and one.document_id < two.document_id

    union all

    select
        one.document_id,
        two.document_id as other_document_id,
        'possible_versions' as kind,
        one.title as passage,
        two.title as other_passage,
        cast(null as {{ dbt.type_float() }}) as similarity
    from possible_versions as one
    inner join possible_versions as two
        on
            one.source_name = two.source_name
            and one.doc_type = two.doc_type
            and one.title_stem = two.title_stem
            and one.document_id < two.document_id

),

conflicts as (

    select * from near_duplicates
    union all
    select * from versions

)

select
    conflicts.kind,
    conflicts.document_id,
    conflicts.other_document_id,
    one.title,
    two.title as other_title,
    conflicts.passage,
    conflicts.other_passage,
    conflicts.similarity
from conflicts
inner join served as one
    on conflicts.document_id = one.document_id
inner join served as two
    on conflicts.other_document_id = two.document_id
