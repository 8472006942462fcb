{#-
    What each row of `relation`, documents after the contract, is today by its dates, its versions and its policy:

    - lifecycle_state: deleted, draft (not yet in force), expired (no longer), superseded (a newer version is in force),
      stale (its review is overdue or it is older than its policy lets it be), active;
    - superseded_by: the document in force that replaces it;
    - version_family: as given, or found in the title or path where the policy looks there;
    - serving: whether readers find it: full, demoted (after what is equally good) or none.

    A version replaces the others of its family, and what its payload names under `supersedes`: document ids, or paths
    of the same source. Two that name each other replace nothing.
-#}
{% macro lifecycle_states(relation) %}
    {%- set names = headrace.superseded_rows('versions.supersedes') %}
    with versions as (

        {{ headrace.document_versions(relation) }}

    ),

    -- An equality each, since a planner that meets "or" compares every pair of documents.
    named as (

        select
            versions.document_id as newer_id,
            part.value as older_id
        from versions
        {{ names }}
        where versions.is_in_force and versions.supersedes is not null

        union all

        select
            versions.document_id as newer_id,
            concat(versions.source_name, ':', part.value) as older_id
        from versions
        {{ names }}
        where versions.is_in_force and versions.supersedes is not null

    ),

    named_pairs as (

        select distinct
            named.newer_id,
            versions.document_id as older_id
        from named
        inner join versions
            on named.older_id = versions.document_id
        where versions.document_id <> named.newer_id

    ),

    replaced as (

        select
            pairs.older_id as document_id,
            max(pairs.newer_id) as newer_id
        from named_pairs as pairs
        left join named_pairs as reverse_pairs
            on pairs.older_id = reverse_pairs.newer_id and pairs.newer_id = reverse_pairs.older_id
        where reverse_pairs.newer_id is null
        group by pairs.older_id

    ),

    ranked as (

        select
            versions.*,
            replaced.newer_id,
            first_value(versions.document_id) over (
                partition by versions.family, versions.is_in_force
                order by versions.version_key desc, versions.document_id desc
            ) as newest_id
        from versions
        left join replaced
            on versions.document_id = replaced.document_id

    ),

    judged as (

        select
            ranked.*,
            case
                when is_deleted then 'deleted'
                when is_early then 'draft'
                when is_late then 'expired'
                when newer_id is not null or (family is not null and newest_id <> document_id) then 'superseded'
                when
                    is_overdue or age_days > max_age_days or (has_no_review_day and age_days > review_days)
                    then 'stale'
                else 'active'
            end as lifecycle_state
        from ranked

    )

    select
        document_id,
        lifecycle_state,
        family as version_family,
        case when lifecycle_state = 'superseded' then coalesce(newer_id, newest_id) end as superseded_by,
        case
            when lifecycle_state = 'active' then 'full'
            when lifecycle_state = 'stale'
                then case when_stale when 'drop' then 'none' when 'demote' then 'demoted' else 'full' end
            when lifecycle_state = 'superseded' and when_superseded = 'demote' then 'demoted'
            else 'none'
        end as serving
    from judged
{% endmacro %}

{#- Each row of `relation` with its family of versions, if it has one, its place among them, whether it is in force, what
    it names as superseded, and the settings of its policy. -#}
{% macro document_versions(relation) %}
    with ruled as (

        select
            document_id,
            version_family,
            version_date,
            valid_from,
            is_deleted,
            source_name,
            doc_type,
            payload,
            {{ headrace.superseded_names('payload') }} as supersedes,
            {{ headrace.version_words('title') }} as title_words,
            case
                when payload like '%"path"%' then {{ headrace.version_words(headrace.json_text('payload', 'path')) }}
            end as path_words,
            coalesce(valid_from > {{ headrace.current_date() }}, false) as is_early,
            coalesce(valid_to < {{ headrace.current_date() }}, false) as is_late,
            coalesce(review_by < {{ headrace.current_date() }}, false) as is_overdue,
            coalesce({{ headrace.version_age_days() }}, 0) as age_days,
            review_by is null as has_no_review_day,
            {{ headrace.lifecycle_setting('max_age_days') }} as max_age_days,
            {{ headrace.lifecycle_setting('review_days') }} as review_days,
            {{ headrace.lifecycle_setting('when_stale') }} as when_stale,
            {{ headrace.lifecycle_setting('when_superseded') }} as when_superseded,
            {{ headrace.lifecycle_setting('find_versions', 'title') }} as finds_by_title,
            {{ headrace.lifecycle_setting('find_versions', 'path') }} as finds_by_path
        from {{ relation }}

    )

    -- A stem without a word would unite what has nothing but its year in common.
    select
        ruled.*,
        case
            when version_family is not null then version_family
            {%- for part in ['title', 'path'] %}
            when
                finds_by_{{ part }} and {{ headrace.names_version(part ~ '_words') }}
                and {{ headrace.matches(headrace.version_stem(part ~ '_words'), '[a-z][a-z][a-z]|[^\\x01-\\x7f]') }}
                then concat(source_name, ':', doc_type, ':', {{ headrace.version_stem(part ~ '_words') }})
            {%- endfor %}
        end as family,
        coalesce(
            replace({{ headrace.date_text('version_date') }}, '-', ''),
            {{ headrace.version_key('title_words') }},
            {{ headrace.version_key('path_words') }},
            replace({{ headrace.date_text('valid_from') }}, '-', ''),
            ''
        ) as version_key,
        not (is_deleted or is_early or is_late) as is_in_force
    from ruled
{% endmacro %}
