/** The jobs for videos that the gateway still knows, whoever of the workspace began them. */
import { Button, Group, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { addressOf, request } from "../../../api/client";
import { queries } from "../../../api/queries";
import { type Column, DataTable } from "../../../components/DataTable";
import { Money } from "../../../components/Money";
import { Section } from "../../../components/Section";
import { StateBadge } from "../../../components/StateBadge";
import { Empty } from "../../../components/States";
import { Time } from "../../../components/Time";
import { tell, tellFailure } from "../../../components/toasts";
import { decimalText } from "../../../format/money";
import type { Job } from "./kinds";

const ROUTE = "portal/v1/play/videos";
const KEY = ["play/videos"];
const PAGE = 20;
const LOOK_EVERY_MS = 5000;

interface JobPage {
  data: Job[];
  has_more: boolean;
  last_id?: string | null;
}

export function EarlierVideos() {
  const jobs = useInfiniteQuery({
    queryKey: KEY,
    queryFn: async ({ pageParam, signal }) => (await (await request("GET", ROUTE, { query: { limit: PAGE, after: pageParam }, signal })).json()) as JobPage,
    initialPageParam: null as string | null,
    getNextPageParam: (last) => (last.has_more ? (last.last_id ?? null) : null),
    refetchInterval: ({ state }) => (state.data?.pages.some(({ data }) => data.some(isUnderWay)) ? LOOK_EVERY_MS : false),
  });
  const pages = {
    rows: jobs.data?.pages.flatMap(({ data }) => data),
    first: jobs.data?.pages[0],
    error: jobs.error,
    isFetching: jobs.isFetching,
    hasMore: jobs.hasNextPage,
    readMore: () => void jobs.fetchNextPage(),
    retry: () => void jobs.refetch(),
  };
  return (
    <Section title="Videos of this workspace" description="Finished videos are kept for a while." padded={false}>
      <DataTable label="Videos of this workspace" columns={COLUMNS} pages={pages} rowKey={({ id }) => id} empty={<Empty title="No videos yet" />} />
    </Section>
  );
}

function isUnderWay({ status }: Job): boolean {
  return status !== "completed" && status !== "failed";
}

const COLUMNS: readonly Column<Job>[] = [
  { title: "Begun", render: (job) => (job.created_at === undefined ? "–" : <Time at={job.created_at * 1000} />) },
  { title: "Model", render: (job) => job.model ?? "–" },
  {
    title: "State",
    render: (job) => (
      <div>
        <StateBadge state={job.status} tone={isUnderWay(job) ? "busy" : job.status === "completed" ? "good" : "bad"} label={isUnderWay(job) && job.progress ? `${job.status}, ${job.progress} %` : job.status} />
        {job.error?.message && <Text size="xs" c="dimmed">{job.error.message}</Text>}
      </div>
    ),
  },
  { title: "Cost", align: "end", render: (job) => (job.usage?.cost === undefined || job.usage.cost === null ? "–" : <Money credits={decimalText(job.usage.cost)} />) },
  { title: "Actions", quiet: true, align: "end", render: (job) => <Actions job={job} /> },
];

function Actions({ job }: { job: Job }) {
  const remove = async () => {
    try {
      await request("DELETE", `${ROUTE}/${job.id}`);
      tell(isUnderWay(job) ? "Cancelled" : "Removed");
      await queries.invalidateQueries({ queryKey: KEY });
    } catch (error) {
      tellFailure(error);
    }
  };
  return (
    <Group gap="xs" justify="flex-end" wrap="nowrap">
      {job.status === "completed" && (
        <Button component="a" size="xs" variant="default" href={addressOf(`${ROUTE}/${job.id}/content`)} download={`${job.id}.mp4`} aria-label={`Download video ${job.id}`}>Download</Button>
      )}
      <Button size="xs" variant="default" onClick={() => void remove()} aria-label={`${isUnderWay(job) ? "Cancel" : "Remove"} video ${job.id}`}>{isUnderWay(job) ? "Cancel" : "Remove"}</Button>
    </Group>
  );
}
