"""The structures of the synthetic kernel: those of Linux 6.1 that matter, with the members that matter.

Names and types are those of Linux; offsets are not, since members are left out. A reader must take them from the
kernel's BTF. Source: headers of Linux 6.1 (`include/linux/sched.h`, `mm_types.h`, `fs.h`, `dcache.h`; `fs/mount.h`).
"""

from __future__ import annotations

from dumpscan.synth.kernel.linux.declarations import Declarations

_TEXT = """
typedef struct { u32 val; } kuid_t;
typedef struct { u32 val; } kgid_t;
typedef struct { int counter; } atomic_t;

enum pageflags {
    PG_locked = 0, PG_referenced = 2, PG_uptodate = 3, PG_lru = 4, PG_slab = 9, PG_swapcache = 10, PG_reserved = 12,
    PG_private = 13, PG_swapbacked = 19
};

struct list_head { struct list_head *next; struct list_head *prev; };
struct hlist_head { struct hlist_node *first; };
struct hlist_node { struct hlist_node *next; struct hlist_node **pprev; };
struct hlist_bl_node { struct hlist_bl_node *next; struct hlist_bl_node **pprev; };

struct cred {
    atomic_t usage;
    kuid_t uid;
    kgid_t gid;
    kuid_t suid;
    kgid_t sgid;
    kuid_t euid;
    kgid_t egid;
};
struct upid { int nr; struct pid_namespace *ns; };
struct pid { atomic_t count; u32 level; struct hlist_head tasks[4]; struct upid numbers[1]; };
struct xarray { u32 xa_lock; u32 xa_flags; void *xa_head; };
struct xa_node {
    u8 shift;
    u8 offset;
    u8 count;
    u8 nr_values;
    struct xa_node *parent;
    struct xarray *array;
    struct list_head private_list;
    void *slots[64];
};
struct idr { struct xarray idr_rt; u32 idr_base; u32 idr_next; };
struct pid_namespace { struct idr idr; u32 level; };
struct signal_struct { atomic_t sigcnt; atomic_t live; int nr_threads; struct list_head thread_head; };
struct mnt_namespace { atomic_t count; u64 seq; };
struct nsproxy { atomic_t count; struct mnt_namespace *mnt_ns; };
struct fs_struct { int users; int umask; };
struct files_struct { atomic_t count; u32 next_fd; };

struct mm_struct {
    struct {
        u64 mmap_base;
        u64 task_size;
        u64 *pgd;
        atomic_t mm_users;
        atomic_t mm_count;
        u64 total_vm;
        u64 start_code;
        u64 end_code;
        u64 start_stack;
        u64 arg_start;
        u64 arg_end;
        u64 env_start;
        u64 env_end;
        struct task_struct *owner;
        struct file *exe_file;
    };
};
struct vm_area_struct { u64 vm_start; u64 vm_end; struct mm_struct *vm_mm; u64 vm_flags; struct file *vm_file; };

struct task_struct {
    u32 __state;
    void *stack;
    u32 flags;
    u32 ptrace;
    u8 sched_entity[512];           /* and what else precedes the list of tasks */
    struct list_head tasks;
    struct mm_struct *mm;
    struct mm_struct *active_mm;
    int exit_state;
    int exit_code;
    int pid;
    int tgid;
    struct task_struct *real_parent;
    struct task_struct *parent;
    struct list_head children;
    struct list_head sibling;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    struct hlist_node pid_links[4];
    struct list_head thread_node;
    void *worker_private;
    u64 start_time;
    u64 start_boottime;
    struct cred *real_cred;
    struct cred *cred;
    char comm[16];
    struct fs_struct *fs;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct signal_struct *signal;
    u8 thread[256];
};
struct kthread { u64 flags; u32 cpu; void *data; char *full_name; };
struct timekeeper { u64 xtime_sec; u64 ktime_sec; s64 offs_real; s64 offs_boot; s64 offs_tai; };
typedef struct { u32 seq; struct timekeeper timekeeper; } tk_core_type;     /* Linux gives it no name */

struct qstr { union { struct { u32 hash; u32 len; }; u64 hash_len; }; char *name; };
struct address_space { struct inode *host; u64 nrpages; void *a_ops; u64 flags; };
struct inode {
    u16 i_mode;
    u16 i_opflags;
    kuid_t i_uid;
    kgid_t i_gid;
    u32 i_flags;
    struct super_block *i_sb;
    struct address_space *i_mapping;
    u64 i_ino;
    u32 i_nlink;
    s64 i_size;
    struct hlist_head i_dentry;
    struct address_space i_data;
};
struct dentry {
    u32 d_flags;
    u32 d_seq;
    struct hlist_bl_node d_hash;
    struct dentry *d_parent;
    struct qstr d_name;
    struct inode *d_inode;
    u8 d_iname[40];
    struct super_block *d_sb;
    struct list_head d_child;
    struct list_head d_subdirs;
    union { struct hlist_node d_alias; struct hlist_bl_node d_in_lookup_hash; } d_u;
};
struct file_system_type { char *name; int fs_flags; };
struct super_block {
    struct list_head s_list;
    u32 s_dev;
    struct file_system_type *s_type;
    struct dentry *s_root;
    struct list_head s_mounts;
    char s_id[32];
};
struct vfsmount { struct dentry *mnt_root; struct super_block *mnt_sb; int mnt_flags; };
struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
    struct list_head mnt_instance;
    struct mnt_namespace *mnt_ns;
    int mnt_id;
};
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; u32 f_flags; };

struct page {
    u64 flags;
    union {
        struct { struct list_head lru; struct address_space *mapping; u64 index; u64 private; };
        struct { u64 compound_head; u8 compound_dtor; u8 compound_order; };
    };
    union { atomic_t _mapcount; u32 page_type; };
    atomic_t _refcount;
    u64 memcg_data;
};

struct kobject { char *name; };
struct net { u32 hash_mix; };
struct socket { u16 type; struct sock *sk; };
struct sock { u16 sk_family; };
struct inet_sock { struct sock sk; };
struct unix_sock { struct sock sk; };
"""
"""The last few are those without which volatility3 takes no symbol table of Linux."""

KERNEL = Declarations(_TEXT)
