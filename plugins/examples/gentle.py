from dataclasses import replace

from deepdream_plugins import Option, ScheduleSpec, hookimpl


def gentle(schedule, height, width, *, megapixels):
    if height * width <= megapixels * 1e6 or isinstance(schedule.steps, tuple):
        return schedule
    return replace(schedule, steps=max(1, schedule.steps // 2))


@hookimpl
def deepdream_schedules():
    size = Option(name="megapixels", type=float, default=4.0, minimum=0.01, help="above which a picture is large")
    yield ScheduleSpec(name="gentle", help="Half the steps on large pictures", arrange=gentle, options=(size,))
