#pragma once
#include <array>
#include <deque>
#include <memory>
#include <random>
#include <unordered_map>

#include "ir/base/errors.h"
#include "ir/simulate/shadow.h"
#include "ir/simulate/simulate.h"

/// The blocks of a cluster while they run, one where there are no clusters. Internal to ir/simulate.
///   machine.cpp   the scheduler, loops and blocks      evaluate.cpp  expressions, addresses, memory
///   order.cpp     barriers and what waits              transfer.cpp  bulk copies and cp.async
///   product.cpp   matrix instructions                  report.cpp    what went wrong, in words
namespace tecc::simulator {

/// A global buffer; it outlives kernels.
struct GlobalMemory {
  std::vector<Scalar> values;
  std::vector<std::uint8_t> written;
  std::optional<Shadow> shadow;  // of what the kernel writes
};

/// What a warp is at: loop counters, and how often loops have begun an iteration. Asynchronous operations keep a copy.
struct Frame {
  std::vector<std::int64_t> counters;  // values of loops, by row
  std::vector<std::int64_t> counts;    // how many iterations of a loop came before; its value, unless it runs backwards
  std::vector<std::int64_t> begun;     // by row and stage
  std::uint32_t stages = 1;
  std::int64_t& begins(LoopId l, std::uint32_t stage) { return begun[l.n * stages + stage]; }
  std::int64_t begins(LoopId l, std::uint32_t stage) const { return begun[l.n * stages + stage]; }
};

/// Which of a buffer's lives an element belongs to: a buffer is allocated anew in each iteration of the loop that it lives in, and has a slot
/// for each `iteration` of its channel's loop.
std::uint32_t generation(const BufferInfo& info, const Frame& frame, std::uint32_t stage, std::int64_t iteration = 0);

struct Register {
  Scalar value;
  std::uint32_t generation = 0;
  Tag tag = 0;
  bool written = false;
  std::uint32_t sums = 0, reads = 0;  // 1 + the last wgmma group that adds to it, that reads it
};

struct Warp;
struct Machine;
struct WarpgroupProduct;

/// An operation that goes on while threads do. land() does the next stage of it.
struct Asynchronous {
  StmtId site;
  virtual ~Asynchronous() = default;
  virtual bool may_land(const Machine&) const { return true; }
  virtual bool land(Machine&) = 0;  // true: nothing is left to do
};

struct CopyGroup {  // cp.async of one warp between two commits
  std::size_t pending = 0;
  std::vector<std::pair<std::size_t, std::uint8_t>> written;  // granules, lanes
};
struct StoreGroup {  // bulk stores between two commits
  std::size_t issued = 0, reads = 0, writes = 0;  // reads, writes: to be done
};

struct Warp {
  std::size_t number = 0;       // in the cluster
  std::size_t rank = 0;         // of its block in the cluster
  std::size_t group = 0;        // its warpgroup, counted over the cluster
  const RoleCode* role = nullptr;
  std::int64_t in_role = 0;     // number in the role
  std::uint32_t exists = 0, mask = 0;
  std::size_t pc = 0;
  std::int64_t tile = 0, round = 0;
  int pass = 0;                                          // of a round: 0 what copies ahead, 1 the rest
  std::uint32_t passing = ~0u;                           // bits: the stages that run in it
  Frame frame;
  Clock clock;
  std::vector<std::uint32_t> saved_masks;                // by row of the loop
  std::vector<std::int64_t> extents;                     // by row; of a skewed loop, without its stages
  std::vector<std::vector<std::int64_t>> lane_extents;   // by row, of loops that follow threads
  std::vector<Register> registers;                       // [place][lane]
  std::uint32_t fences = 0;                              // executed
  std::uint32_t products = 0;                            // wgmma groups issued
  std::vector<StoreGroup> stores{1};                     // the last one is open
  std::vector<CopyGroup> copies{1};
  std::uint64_t arrived = 0;                             // ticket of the barrier it waits at; 0: none
  bool done = false;
  StmtId waits_at{};
  std::string waits_for;                                 // words, for a report

  Register& reg(std::size_t place, int lane) { return registers[place * 32 + static_cast<std::size_t>(lane)]; }
  std::int64_t thread(int lane) const { return in_role * 32 + lane; }
};

/// Where an expression is evaluated.
struct Thread {
  Warp& warp;
  const Frame& frame;
  int lane;
  std::int64_t number;                  // in the role
  std::vector<std::int64_t>& iters;
  const Statement* statement;
  Actor actor;
  /// Of a matrix instruction: where its warps hold elements of its operands in registers, by tag.
  struct Held {
    Warp* warp;
    int lane;
    std::size_t place;
  };
  const std::unordered_map<Tag, Held>* held = nullptr;
  bool raw = false;  // an operation whose accesses were noted when it was issued: values only
};

struct Machine {
  Machine(const Kernel& k, const SimulateOptions& options, std::vector<GlobalMemory>& global, std::mt19937_64& random, std::int64_t number, std::int64_t blocks,
          std::uint32_t id, std::uint32_t first_id, SimulateRun& counts);
  Check run();

  // ---- machine.cpp ----
  bool step(Warp& w);
  /// Calls f with the frame set to each iteration of the loops from the n-th on; of loops bound to threads, `thread` has its part.
  template <class F>
  void for_each(const std::vector<LoopId>& loops, std::size_t n, Frame& frame, std::int64_t thread, F&& f) {
    if (n == loops.size()) return f();
    const LoopInfo& info = k_.loops[loops[n].n];
    if (k_.p->loop(loops[n]).group != Group::none) {
      if (info.reach < 0 || thread < info.reach) for_each(loops, n + 1, frame, thread, f);
      return;
    }
    const std::int64_t extent = constant_extent(*k_.p, loops[n]).value_or(0);
    std::int64_t &counter = frame.counters[loops[n].n], &count = frame.counts[loops[n].n];
    for (counter = count = 0; counter < extent && !failed_; ++counter, ++count) for_each(loops, n + 1, frame, thread, f);
    counter = count = 0;
  }
  bool keeps_surplus(const Block& b) const;
  void instance(Thread& t, const Statement& st);
  /// The iteration of a loop whose work the statement does.
  static std::int64_t iteration_of(const Statement& st, const Frame& f, LoopId l) {
    const auto& ahead = st.block->ahead;
    return f.counts[l.n] + (ahead && ahead->loop == l ? ahead->by : 0);
  }
  void join(Warp& w, std::size_t l);  // a loop that runs backwards: the lanes that have its iteration
  void begin(Warp& w, LoopId l, std::uint32_t stages, std::optional<LoopId> skewed);  // an iteration
  /// Counts what other warpgroups do in the iterations before the warp's own, or behind it, of a loop over which they alternate.
  void pass_over(Warp& w, LoopId l, bool before);
  std::uint32_t running(const Warp& w, LoopId skewed) const;  // bits: the stages that run in the loop's iteration
  bool is_elected(const Warp& w, Group group) const;
  Actor actor(const Warp& w, int lane, StmtId site) const;
  /// Of an asynchronous operation issued by the warp now.
  Clock issued_by(const Warp& w) const;
  void start(std::unique_ptr<Asynchronous> op);

  // ---- evaluate.cpp ----
  std::int64_t value(const Digits& d, const Frame& f, std::int64_t thread) const;
  std::int64_t digits(std::size_t d, const Thread& t) const { return value(k_.digits[d], t.frame, t.number); }
  Scalar eval(NodeId n, Thread& t);
  void iterations(Thread& t, const Statement& st);
  /// Where an element lies.
  struct Address {
    std::size_t at = 0;  // global: element; shared: granule; private: register
    Tag tag = 0;
    std::uint32_t generation = 0;
    bool inside = true;  // of a global tensor
    std::array<std::int64_t, 8> coordinates{};
    std::size_t rank = 0;
  };
  std::optional<Address> address(const Place& p, Thread& t);  // nullopt after a failure
  Tag tag_of(const Place& p, Thread& t, Address& a);  // sets the coordinates, too
  Scalar load_raw(const Place& p, Thread& t);
  Scalar load(const Place& p, Thread& t);
  void store(const Place& p, Thread& t, Scalar value);
  /// Notes an access to shared or global memory and looks for conflicts. A write of what is there already, where the value is known.
  bool note_read(const Place& p, const Address& a, const Actor& who);
  bool note_write(const Place& p, const Address& a, const Actor& who, std::uint32_t fence, const Scalar* value = nullptr);
  std::string element(const Place& p, const Address& a) const;

  // ---- order.cpp ----
  struct Counter {  // an mbarrier
    std::int64_t needed = 1, pending = 1, bytes = 0;
    std::uint32_t phases = 0;  // complete
    Clock arriving, done;
    std::size_t loads = 0;     // issued and not landed
    std::uint32_t used = 0, awaited = 0;  // phases that loads were issued into, that somebody waited for
    Agent agent = 0;           // whose periods its phases are
  };
  bool barrier(Warp& w, StmtId s, Group group);
  bool sync(Warp& w, StmtId s, const Sync& op);
  bool wait(Warp& w, StmtId s, std::size_t barrier, bool full, std::int64_t round, std::uint32_t channel, std::int64_t slot);
  void arrive(Warp& w, StmtId s, Counter& c, std::int64_t round, const std::string& name);
  void complete(Counter& c, StmtId s, const std::string& name);
  void bytes_arrive(std::size_t barrier, std::int64_t bytes, StmtId s, const Clock& issued);
  bool blocked(Warp& w, StmtId s, std::string why);
  std::optional<std::size_t> barrier_of(const Warp& w, StmtId s, std::uint32_t channel, std::int64_t lag, std::int64_t& round, std::int64_t& slot);
  std::string barrier_name(std::size_t barrier, bool full) const;
  void combine(Warp& w, StmtId s, const std::vector<Warp*>& members);
  void scan(const Combine& c, std::uint32_t stage, const std::vector<std::pair<std::int64_t, Warp*>>& threads);
  void finish(Warp& w);

  // ---- transfer.cpp ----
  void bulk(Warp& w, const Statement& st);
  void copy_async(Thread& t, const Statement& st, bool exists);
  void convert_copies(Warp& w, std::size_t group);

  // ---- product.cpp ----
  bool tile(Warp& w, const Statement& st);
  void issue_product(Warp& w, const Statement& st);
  /// True if the warp has issued a product into the buffer that other warps of its warpgroup have yet to issue.
  bool is_issued(const Warp& w, TensorId sums) const;
  void multiply_at_once(Warp& w, const Statement& st);
  bool stores_as_table(Thread& t, Frame& frame, const Statement& st);
  bool loads_as_table(Thread& t, Frame& frame, const Statement& st);

  // ---- report.cpp ----
  void fail(Refusal why) {
    if (!failed_) failed_ = std::move(why);
  }
  bool failed() const { return failed_.has_value(); }
  void fail_form(StmtId s, const std::string& what);
  std::optional<TensorId> touched_as(const Place& p, const Address& a, const Access& before) const;
  void fail_race(const Place& p, const Address& a, const Actor& now, bool writes, const Access& before, bool before_wrote);
  std::string said(std::uint32_t site) const;                  // block 'al' (gemm.te:3)
  std::string missing(const Access& before, const Actor& now, bool before_wrote, bool writes) const;
  std::string role_name(const Warp& w) const;
  Refusal stuck() const;

  const Kernel& k_;
  const SimulateOptions& options_;
  std::vector<GlobalMemory>& global_;
  std::mt19937_64& random_;
  std::int64_t number_, blocks_;  // of the cluster in the grid, of clusters
  std::uint32_t id_, first_id_;
  SimulateRun& counts_;
  Agents agents_;
  std::vector<Warp> warps_;
  Shadow shared_;
  std::vector<Scalar> shared_values_;
  std::vector<Counter> full_, empty_;
  std::vector<std::unique_ptr<Asynchronous>> flying_;

  struct Meeting {  // a barrier of threads
    std::vector<Warp*> arrived;
    StmtId at{};
    std::uint64_t ticket = 1;  // of those that arrive now
    std::uint64_t open = 0;    // tickets up to here may go on
    Clock clock;
  };
  std::vector<Meeting> meetings_;  // of each block's roles, then of each warpgroup
  struct Turn {  // of a warpgroup: it comes when the warpgroup before passes it on
    int passed = 0, awaiting = 0;  // warps
    std::uint64_t ticket = 1, open = 0;
    Clock clock;
  };
  std::vector<Turn> turns_;  // by warpgroup
  bool turn(Warp& w, StmtId s, const Sync& op);
  std::size_t meeting_of(const Warp& w, Group group) const;
  bool next_tile(Warp& w);  // false: there is none
  std::size_t granules_ = 0;  // of a block's shared memory

  struct ProductQueue {  // wgmma of one warpgroup, in order of issue
    ProductQueue();
    ProductQueue(ProductQueue&&) noexcept;
    ~ProductQueue();
    std::deque<std::unique_ptr<WarpgroupProduct>> forming;  // not all warps have issued them
    std::size_t formed = 0;
    std::uint32_t landed = 0;
  };
  std::vector<ProductQueue> products_;  // by warpgroup
  std::vector<std::int64_t> iters_;
  std::int64_t steps_ = 0;
  std::optional<Refusal> failed_;
};

}  // namespace tecc::simulator
