{#-
    The lifecycle state of each row of `relation`, judged by today's date: deleted, draft (not yet in force), expired
    (no longer), superseded (a newer version of its family is in force), stale (its review is overdue), active.
    Gives document_id and lifecycle_state.
-#}
{% macro lifecycle_states(relation) %}
    select
        dated.document_id,
        case
            when dated.is_deleted then 'deleted'
            when dated.is_early then 'draft'
            when dated.is_late then 'expired'
            when
                dated.version_family is not null
                and row_number() over (
                    partition by
                        dated.version_family, dated.is_deleted or dated.is_early or dated.is_late
                    order by dated.version_of desc, dated.document_id desc
                ) > 1
                then 'superseded'
            when dated.review_by < {{ headrace.current_date() }} then 'stale'
            else 'active'
        end as lifecycle_state
    from (
        select
            document_id,
            version_family,
            review_by,
            is_deleted,
            coalesce(valid_from > {{ headrace.current_date() }}, false) as is_early,
            coalesce(valid_to < {{ headrace.current_date() }}, false) as is_late,
            coalesce(version_date, valid_from, cast('0001-01-01' as date)) as version_of
        from {{ relation }}
    ) as dated
{% endmacro %}
