drop table sbf.jobs;
drop function sbf.write_ticket;
drop function sbf.tell_job;
drop schema sbf_queue cascade;
